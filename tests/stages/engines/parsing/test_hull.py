"""Face masks against OpenCV's hull, and where they reach."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon2mask
from torch import Tensor

from facerefs.stages.engines.parsing.hull import face_hull
from tests.trainers.faces import frontal_face

SIDE = 128


def true_hull(points: Tensor) -> np.ndarray:
    """The pixels whose centres lie in the hull, by OpenCV and scikit-image."""
    corners = cv2.convexHull(points.numpy().astype(np.float32))[:, 0]
    return np.asarray(polygon2mask((SIDE, SIDE), corners[:, ::-1]))


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31), st.floats(8, 60))
def test_without_forehead_the_mask_is_the_convex_hull(seed: int, spread_px: float) -> None:
    points = torch.tensor(np.random.default_rng(seed).normal(SIDE / 2, spread_px, (2, 68, 2)))
    masks = face_hull(points, SIDE, SIDE, forehead=0)
    for mask, some in zip(masks, points, strict=True):
        truth = true_hull(some)
        assert (mask[0].numpy() > 0)[truth].mean() > 0.999
        assert (mask[0].numpy() > 0).sum() <= truth.sum() * 1.01 + 12


def test_hulls_reach_beyond_the_image_and_may_miss_it() -> None:
    points = torch.tensor(np.random.default_rng(0).normal(0, 40, (1, 68, 2)))
    mask = face_hull(points, SIDE, SIDE, forehead=0)[0, 0]
    assert mask[0, 0] == 1
    assert mask[-1, -1] == 0
    assert face_hull(points + 1000, SIDE, SIDE).sum() == 0


def test_the_forehead_rises_half_the_way_from_the_chin_to_the_brows() -> None:
    face = frontal_face(SIDE)
    mask = face_hull(face, SIDE, SIDE)
    brow, chin = face[0, 21:23, 1].mean().item(), face[0, 8, 1].item()
    top = mask[0, 0].any(1).nonzero()[0].item()
    assert top == pytest.approx(brow - 0.5 * (chin - brow), abs=2)
    bottom = mask[0, 0].any(1).nonzero()[-1].item()
    assert bottom == pytest.approx(chin, abs=1)
    assert torch.allclose(mask, mask.flip(-1).roll(1, -1), atol=1)
    assert (face_hull(face, SIDE, SIDE, forehead=0.2) <= mask).all()


def test_the_mask_turns_with_the_face() -> None:
    face = frontal_face(SIDE)
    turned = torch.stack([SIDE - 1 - face[..., 1], face[..., 0]], dim=-1)  # a quarter clockwise
    upright, lying = face_hull(face, SIDE, SIDE), face_hull(turned, SIDE, SIDE)
    assert (lying != upright.rot90(-1, (-2, -1))).double().mean() < 2e-3


def test_feathering_softens_the_edge_and_keeps_the_inside() -> None:
    face = frontal_face(SIDE)
    hard, soft = face_hull(face, SIDE, SIDE), face_hull(face, SIDE, SIDE, feather_px=3)
    assert soft.min() >= 0
    assert soft.max() <= 1 + 1e-6
    assert soft[0, 0, 80, 64] == pytest.approx(1, abs=1e-4)
    edge = int(hard[0, 0, 80].nonzero()[0])
    assert 0.3 < soft[0, 0, 80, edge] < 0.7
    assert soft.sum() == pytest.approx(hard.sum().item(), rel=0.02)
    sides = [soft[0, 0, 80, edge + off].item() for off in (-3, 3)]
    gauss = [0.5 * (1 + math.erf((off + 0.5) / 3 / math.sqrt(2))) for off in (-3, 3)]
    assert sides == pytest.approx(gauss, abs=0.05)


def test_landmarks_on_one_spot_give_at_most_that_pixel() -> None:
    mask = face_hull(torch.full((1, 68, 2), 20.0), SIDE, SIDE)
    assert mask.isfinite().all()
    assert mask.sum() <= 1
