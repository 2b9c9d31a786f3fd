"""Mirrors and crops carry along all that belongs to a face, and change nothing that they are given."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facerefs.schemas.operations import Blur, Gray, Jpeg, Mirror, MotionBlur, Noise, Resize
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.apply_theta import degrade, degrade_exactly, resize_back
from facerefs.stages.faces.boxes import component_boxes
from facerefs.stages.faces.landmarks import MIRRORED_68
from facerefs.trainers.stream.samples.augment import crop, mirror, mirror_landmarks, mirror_theta
from facerefs.trainers.stream.samples.decode import decode_sample
from facerefs.trainers.stream.samples.reduce import reduced
from facerefs.trainers.stream.samples.sample import Face, Sample
from tests.trainers.face_files import SIZE_PX, face_files


def _sample(seed: int = 0, degraded: bool = True) -> Sample:
    return decode_sample(face_files(seed, masks=True), degraded=degraded)


def _arrays(sample: Sample) -> list[np.ndarray]:
    faces = (sample.target, *sample.references)
    parts = [part for face in faces for part in (face.image, face.landmarks, face.embedding, face.mask)]
    return [part for part in (*parts, sample.boxes, sample.degraded) if part is not None]


def _same(one: Sample, other: Sample) -> bool:
    pairs = zip(_arrays(one), _arrays(other), strict=True)
    return one.theta == other.theta and all(np.allclose(a, b, atol=1e-4) for a, b in pairs)


def test_mirrored_landmarks_stand_on_the_pixels_that_they_stood_on() -> None:
    places = np.random.default_rng(0).permutation(SIZE_PX * SIZE_PX)[:68]
    landmarks = np.stack([places % SIZE_PX, places // SIZE_PX], axis=-1).astype(np.float32)
    image = np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8)
    image[landmarks[:, 1].astype(int), landmarks[:, 0].astype(int)] = np.arange(1, 69)[:, None]
    sample = _sample()
    drawn = Sample(
        "k", "p", Face(image, landmarks, np.zeros(0, np.float32)), sample.boxes, (), None, theta=()
    )

    mirrored = mirror(drawn).target

    x, y = mirrored.landmarks.astype(int).T
    assert mirrored.image[y, x, 0].tolist() == (MIRRORED_68 + 1).tolist()


def test_left_and_right_of_the_68_points_are_exchanged_as_face_alignment_does() -> None:
    utils = pytest.importorskip("face_alignment.utils")
    assert utils.shuffle_lr(torch.arange(68)[None])[0].tolist() == MIRRORED_68.tolist()


def test_boxes_of_a_mirrored_face_are_those_of_its_mirrored_landmarks() -> None:
    sample = mirror(_sample())
    boxes = component_boxes(sample.target.landmarks, SIZE_PX)
    np.testing.assert_allclose(sample.boxes, np.array(list(boxes.values())), atol=2e-3)


@settings(max_examples=20)
@given(seed=st.integers(0, 20), target=st.booleans(), references=st.booleans())
def test_mirrored_twice_a_sample_is_as_before_and_the_first_was_never_changed(
    seed: int, target: bool, references: bool
) -> None:
    sample, untouched = _sample(seed % 3), _sample(seed % 3)
    once = mirror(sample, target, references)
    again = mirror(sample, target, references)
    assert _same(sample, untouched)
    assert _same(once, again)
    assert _same(mirror(once, target, references), untouched)
    assert _same(once, untouched) == (not target and not references)


def test_target_and_references_are_mirrored_independently() -> None:
    sample = _sample()
    alone = mirror(sample, target=False)
    assert alone.target is sample.target
    assert alone.theta == sample.theta
    assert np.array_equal(alone.references[1].image, sample.references[1].image[:, ::-1])
    assert np.array_equal(alone.references[1].mask, sample.references[1].mask[:, ::-1])
    assert mirror(sample, references=False).references is sample.references


def test_the_mirrored_theta_makes_the_mirrored_stored_file_to_the_last_bit() -> None:
    mirrored = mirror(_sample())
    image = torch.from_numpy(mirrored.target.image).permute(2, 0, 1)[None].double() / 255
    (made,) = degrade_exactly(image, [mirrored.theta])
    assert np.array_equal(made.image, mirrored.degraded)


_OPERATIONS = st.sampled_from(
    [
        Mirror(),
        Blur(9, 3.0, 0.7, 0.6),
        MotionBlur(9, 7.0, 0.3),
        Resize(23, 17, "bilinear"),
        Resize(40, 31, "area"),
        Noise(10.0, False, 5),
        Gray(),
        Jpeg(40, "4:2:0"),
    ]
)


@settings(max_examples=30)
@given(theta=st.lists(_OPERATIONS, max_size=4).map(tuple))
def test_degrading_the_mirrored_face_by_the_mirrored_theta_mirrors_the_degraded_face(theta: Theta) -> None:
    face = torch.from_numpy(_sample().target.image).permute(2, 0, 1)[None].float() / 255
    plain = resize_back(degrade(face, [theta]), SIZE_PX, SIZE_PX)
    mirrored = resize_back(degrade(face.flip(-1), [mirror_theta(theta)]), SIZE_PX, SIZE_PX)
    # JPEG rounds coefficients, and another order of sums may round a half to the other side.
    assert (mirrored - plain.flip(-1)).abs().mean() < 1e-3


@settings(max_examples=30)
@given(theta=st.lists(_OPERATIONS, max_size=4).map(tuple))
def test_no_two_mirrors_stand_side_by_side_at_the_ends(theta: Theta) -> None:
    once = mirror_theta(theta)
    assert mirror_theta(mirror_theta(once)) == once
    assert once[:2] != (Mirror(), Mirror())
    assert once[-2:] != (Mirror(), Mirror())


def test_a_crop_takes_landmarks_boxes_and_masks_along() -> None:
    sample, untouched = _sample(degraded=False), _sample(degraded=False)
    part = crop(sample, 10, 5, 40)
    assert part.target.image.shape == (40, 40, 3)
    assert np.array_equal(part.target.image, sample.target.image[5:45, 10:50])
    assert np.array_equal(part.references[0].mask, sample.references[0].mask[5:45, 10:50])
    for cropped, whole in zip(
        (part.target, *part.references), (sample.target, *sample.references), strict=True
    ):
        np.testing.assert_allclose(cropped.landmarks + np.array([10, 5]), whole.landmarks, atol=1e-4)
    np.testing.assert_allclose(part.boxes + np.array([10, 5, 10, 5]), sample.boxes, atol=1e-4)
    assert _same(sample, untouched)
    assert not any(np.shares_memory(a, b) for a in _arrays(part)[:2] for b in _arrays(sample))


def test_a_crop_and_a_mirror_can_be_done_in_either_order() -> None:
    sample = _sample(degraded=False)
    one = mirror(crop(sample, 10, 5, 40))
    other = crop(mirror(sample), SIZE_PX - 10 - 40, 5, 40)
    assert np.array_equal(one.target.image, other.target.image)
    np.testing.assert_allclose(one.target.landmarks, other.target.landmarks, atol=1e-4)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-4)


def test_a_stored_degraded_face_cannot_be_cropped_nor_a_window_leave_the_image() -> None:
    with pytest.raises(ValueError, match="stored one belongs to the whole face"):
        crop(_sample(), 0, 0, 32)
    with pytest.raises(ValueError, match=r"window of 40 px at \(30, 0\) leaves an image of 64x64 px"):
        crop(_sample(degraded=False), 30, 0, 40)


def test_points_of_the_left_eye_lie_left_before_and_after() -> None:
    landmarks = np.zeros((68, 2), np.float32)
    landmarks[36:42, 0], landmarks[42:48, 0] = 20, 45
    mirrored = mirror_landmarks(landmarks, SIZE_PX)
    assert mirrored[36:42, 0].max() < mirrored[42:48, 0].min()


def test_a_reduced_face_has_the_means_of_its_pixels_and_its_points_on_the_same_spots() -> None:
    sample = _sample(degraded=False)
    half = reduced(sample, SIZE_PX // 2)
    for small, face in zip((half.target, *half.references), (sample.target, *sample.references), strict=True):
        means = face.image.reshape(SIZE_PX // 2, 2, SIZE_PX // 2, 2, 3).mean((1, 3))
        assert np.abs(small.image - means).max() <= 1  # Pillow rounds rows, then columns
        # The middle of a pixel block of two is the middle of the one pixel that it becomes.
        np.testing.assert_allclose(2 * small.landmarks + 0.5, face.landmarks, atol=1e-3)
    np.testing.assert_allclose(2 * half.boxes + 0.5, sample.boxes, atol=1e-3)
    assert half.references[0].mask.shape == (SIZE_PX // 2, SIZE_PX // 2)
    mirrored = mirror(half), reduced(mirror(sample), SIZE_PX // 2)
    assert np.array_equal(mirrored[0].target.image, mirrored[1].target.image)
    np.testing.assert_allclose(mirrored[0].target.landmarks, mirrored[1].target.landmarks, atol=1e-4)


def test_a_face_is_never_enlarged_nor_reduced_beside_its_stored_degraded_face() -> None:
    with pytest.raises(ValueError, match="faces of 64 px cannot be reduced to 65 px"):
        reduced(_sample(degraded=False), 65)
    with pytest.raises(ValueError, match="stored one belongs to the full size"):
        reduced(_sample(), 32)
