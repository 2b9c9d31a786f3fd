"""The mean head: it is the mean of 200 synthetic heads, and it fits faces."""

from dataclasses import fields

import numpy as np
import pytest

from facerefs.stages.faces.geometry import pose
from facerefs.stages.synthesise.head import fit_head
from facerefs.stages.synthesise.mean_head import NORMALS, SURFACE
from facerefs.stages.synthetic_people.head.expression import make_expression
from facerefs.stages.synthetic_people.head.field import depth_at
from facerefs.stages.synthetic_people.head.landmarks import place_landmarks
from facerefs.stages.synthetic_people.head.shape import head_radius
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.proportions import HeadShape
from facerefs.stages.synthetic_people.render import View
from tests.stages.synthesise.faces import landmarks_of

JAW = list(range(5, 12))  # of which the depth is a choice


def test_the_surface_is_the_mean_of_200_synthetic_heads() -> None:
    shapes = [draw_person(0, index).shape for index in range(200)]
    mean = HeadShape(
        *(float(np.mean([getattr(shape, field.name) for shape in shapes])) for field in fields(HeadShape))
    )
    places = np.concatenate([place_landmarks(make_expression(mean, View())), SURFACE[68:, :2] * [1, -1]])
    depth = depth_at(head_radius(mean), places[None, :, 0], places[None, :, 1])[0]
    depth[JAW] = -SURFACE[JAW, 2]
    truth = np.column_stack([places, depth]) * [1, -1, -1]
    np.testing.assert_allclose(SURFACE, truth, atol=0.11)
    assert (np.diff(-SURFACE[[4, 5, 6, 7, 8], 2]) > 0).all()  # a jaw comes forward towards the chin


def test_normals_point_outwards() -> None:
    np.testing.assert_allclose(np.linalg.norm(NORMALS, axis=1), 1)
    assert ((NORMALS * SURFACE).sum(1) > 0).all()


@pytest.mark.parametrize(("yaw_deg", "pitch_deg"), [(0.0, 0.0), (20.0, 0.0), (-15.0, 6.0), (5.0, -7.0)])
def test_the_head_has_the_pose_of_the_face(yaw_deg: float, pitch_deg: float) -> None:
    landmarks = landmarks_of(draw_person(5, 1), View(yaw_deg=yaw_deg, pitch_deg=pitch_deg), 512)
    head = fit_head(landmarks)
    front = fit_head(landmarks_of(draw_person(5, 1), View(), 512))
    np.testing.assert_allclose(head.skin[:68, :2], landmarks)
    towards = -(head.rotation @ front.rotation.T)[:, 2]  # where the face looks: right, down, away
    assert np.degrees(np.arctan2(towards[0], -towards[2])) == pytest.approx(yaw_deg, abs=4)
    assert -np.degrees(np.arctan2(towards[1], -towards[2])) == pytest.approx(pitch_deg, abs=4)
    assert pose(landmarks).yaw == pytest.approx(yaw_deg, abs=6)
    assert head.px_per_mm == pytest.approx(front.px_per_mm, rel=0.1)


def test_points_of_the_far_cheek_are_not_visible() -> None:
    seen = fit_head(landmarks_of(draw_person(5, 0), View(yaw_deg=24), 512)).visible()
    assert seen[:68].all()
    hidden = SURFACE[~seen]
    assert len(hidden) > 0
    assert (hidden[:, 0] > 0).all()
