"""Crops against the engines' own: NumPy and Pillow for ArcFace, dlib for its chips."""

import dlib
import numpy as np
import pytest
import torch
from PIL import Image

from facerefs.stages.faces import geometry
from facerefs.trainers.identity.crop import ArcFaceCrop, DlibChip
from tests.trainers.identity.conftest import Faces


def levels(images: torch.Tensor) -> np.ndarray:
    return ((images + 1) * 127.5).clamp(0, 255).permute(0, 2, 3, 1).numpy()


def resized(faces: Faces, size_px: int) -> Faces:
    pixels = [
        np.asarray(Image.fromarray(face).resize((size_px, size_px), Image.Resampling.LANCZOS))
        for face in faces.pixels
    ]
    factor = size_px / faces.pixels[0].shape[0]
    return Faces(pixels, [((points + 0.5) * factor - 0.5).astype(np.float32) for points in faces.points])


def turned(points: np.ndarray, degrees: float, centre: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((points - centre) @ turn.T + centre).astype(np.float32)


@pytest.mark.parametrize("side_px", [112, 128])
@pytest.mark.parametrize(("size_px", "apart"), [(64, 1.5), (160, 1.5), (400, 2.5)])
def test_the_arcface_crop_is_that_of_the_engine(
    aligned_faces: Faces, size_px: int, apart: float, side_px: int
) -> None:
    faces = resized(aligned_faces, size_px)
    found = levels(ArcFaceCrop(side_px)(faces.images, faces.landmarks))
    for crop, pixels, points in zip(found, faces.pixels, faces.points, strict=True):
        transform = geometry.similarity_between(
            geometry.five_points(points), geometry.arcface_points(side_px)
        )
        expected = geometry.warp(pixels, transform, side_px).pixels
        assert np.abs(crop - expected).mean() < apart


@pytest.mark.parametrize("degrees", [0, 25, -70])
@pytest.mark.parametrize(("size_px", "apart"), [(64, 0.02), (160, 0.02), (400, 0.6)])
def test_the_chip_is_that_of_dlib(aligned_faces: Faces, size_px: int, apart: float, degrees: float) -> None:
    faces = resized(aligned_faces, size_px)
    whole = [np.rint(turned(points, degrees, size_px / 2)) for points in faces.points]  # dlib's are integers
    found = levels(DlibChip()(faces.images, torch.from_numpy(np.stack(whole))))
    box = dlib.rectangle(0, 0, size_px, size_px)
    for chip, pixels, points in zip(found, faces.pixels, whole, strict=True):
        shape = dlib.full_object_detection(box, [dlib.point(int(x), int(y)) for x, y in points])
        expected = dlib.get_face_chip(pixels, shape, 150, 0.25)
        inside = expected > 0  # dlib's border to what lies outside is harder
        inside[1:-1, 1:-1] &= (expected > 0)[2:, 1:-1] & (expected > 0)[:-2, 1:-1]
        assert inside.mean() > 0.5
        assert np.abs(np.floor(chip + 1e-3) - expected)[inside].mean() < apart  # dlib cuts fractions off


@pytest.mark.parametrize("crop", [ArcFaceCrop(), DlibChip()])
def test_a_fine_pattern_in_a_large_face_becomes_gray(aligned_faces: Faces, crop: torch.nn.Module) -> None:
    """Bilinear sampling of every fourth pixel would leave stripes of full contrast."""
    faces = resized(aligned_faces, 512)
    stripes = torch.tensor([-1.0, 1.0]).repeat(256).expand(4, 3, 512, 512)
    assert crop(stripes, faces.landmarks)[..., 30:-30, 30:-30].abs().max() < 0.55
    assert crop(stripes, faces.landmarks)[..., 30:-30, 30:-30].square().mean().sqrt() < 0.25


@pytest.mark.parametrize("crop", [ArcFaceCrop(), DlibChip()])
def test_landmarks_on_one_spot_give_finite_crops_and_gradients(crop: torch.nn.Module) -> None:
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    crops = crop(images, torch.zeros(2, 68, 2))
    crops.sum().backward()
    assert crops.isfinite().all()
    assert images.grad is not None
    assert images.grad.isfinite().all()


@pytest.mark.parametrize("crop", [ArcFaceCrop(), DlibChip()])
def test_oblong_images_and_any_batch_are_cut_alike(aligned_faces: Faces, crop: torch.nn.Module) -> None:
    alone = crop(aligned_faces.images[1:2], aligned_faces.landmarks[1:2])
    torch.testing.assert_close(
        crop(aligned_faces.images, aligned_faces.landmarks)[1:2], alone, atol=1e-4, rtol=0
    )
    wider = torch.nn.functional.pad(aligned_faces.images[1:2], (40, 0, 0, 10))
    inside = slice(40, 80)
    moved = crop(wider, aligned_faces.landmarks[1:2] + torch.tensor([40.0, 0.0]))
    torch.testing.assert_close(moved[..., inside, inside], alone[..., inside, inside], atol=0.05, rtol=0)
