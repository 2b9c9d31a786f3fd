"""Thin-plate splines against scikit-image and SciPy, and what they promise by themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator
from skimage.transform import ThinPlateSplineTransform, warp
from torch import Tensor

from facerefs.trainers.geometry.tps import REGULARISATION, fit_tps, warp_images

few = settings(deadline=None, max_examples=20)
seeds = st.integers(0, 2**31)


def random_points(seed: int, batch: int = 2, count: int = 12, side: float = 64) -> tuple[Tensor, Tensor]:
    """Points and where they go: a few pixels off. No two points are close to each other."""
    draw = np.random.default_rng(seed)
    cells = np.stack([draw.permutation(16)[:count] for _ in range(batch)])
    corners = np.stack([cells % 4, cells // 4], axis=-1)
    source = (corners + draw.uniform(0.1, 0.9, corners.shape)) * side / 4
    return torch.tensor(source), torch.tensor(source + draw.normal(0, side / 20, source.shape))


def a_grid(side: float = 64) -> Tensor:
    return torch.cartesian_prod(*[torch.linspace(-side / 4, side * 1.25, 15, dtype=torch.float64)] * 2)[None]


def smooth_image(height: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([(x / 9).sin() + (y / 7).cos(), (x * y / 300).sin(), x / width])[None].double()


@few
@given(seeds)
def test_the_spline_takes_every_source_point_to_its_target(seed: int) -> None:
    source, target = random_points(seed)
    assert torch.allclose(fit_tps(source, target).map(source), target, atol=1e-4)


@few
@given(seeds)
def test_points_moved_by_an_affine_map_give_that_map_everywhere(seed: int) -> None:
    source, _ = random_points(seed)
    matrix = torch.randn(2, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for regularisation in (0.0, 1.0):
        spline = fit_tps(source, source @ matrix + 5, regularisation)
        assert torch.allclose(spline.map(a_grid()), a_grid() @ matrix + 5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_spline_is_scikit_images(seed: int) -> None:
    source, target = random_points(seed)
    ours = fit_tps(source, target).map(a_grid())
    for index in range(len(source)):
        theirs = ThinPlateSplineTransform.from_estimate(source[index].numpy(), target[index].numpy())
        np.testing.assert_allclose(ours[index], theirs(a_grid()[0].numpy()), atol=1e-3)


@pytest.mark.parametrize("regularisation", [0.0, 1e-3, 0.1])
def test_the_spline_is_scipys_with_the_same_smoothing(regularisation: float) -> None:
    source, target = random_points(5, batch=1)
    ours = fit_tps(source, target, regularisation).map(a_grid())[0]
    spread = (source - source.mean(1)).square().sum(-1).mean().item()  # SciPy's kernel is not scaled
    theirs = RBFInterpolator(source[0].numpy(), target[0].numpy(), smoothing=regularisation * spread)
    np.testing.assert_allclose(ours, theirs(a_grid()[0].numpy()), atol=1e-4)


def test_a_batch_is_its_samples() -> None:
    source, target = random_points(1, batch=3)
    together = fit_tps(source, target).map(a_grid())
    alone = [fit_tps(source[i : i + 1], target[i : i + 1]).map(a_grid()) for i in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)


def test_coinciding_points_go_to_the_mean_of_their_targets() -> None:
    source, target = random_points(2)
    source[:, 1] = source[:, 0]
    mapped = fit_tps(source, target).map(source)
    assert torch.allclose(mapped[:, 0], target[:, :2].mean(1), atol=1e-3)
    assert torch.allclose(mapped[:, 2:], target[:, 2:], atol=1e-3)


@few
@given(seeds, st.integers(0, 100))
def test_beside_points_on_a_line_the_plane_turns_and_scales_with_it(seed: int, slope: int) -> None:
    draw = np.random.default_rng(seed)
    places = torch.tensor(draw.uniform(0, 60, (1, 9, 1)))
    source = places * torch.tensor([1.0, slope / 20]) + 3
    turn = torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64) * 1.5
    mapped = fit_tps(source, source @ turn + 2).map(a_grid())
    assert torch.allclose(mapped, a_grid() @ turn + 2, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 68])
def test_points_on_one_spot_shift_the_plane(count: int) -> None:
    source = torch.full((1, count, 2), 7.0)
    assert torch.allclose(fit_tps(source, source + 3).map(a_grid()), a_grid() + 3, atol=1e-6)


@few
@given(seeds, st.floats(0, 1))
def test_no_placement_of_points_gives_nan(seed: int, flatness: float) -> None:
    draw = np.random.default_rng(seed)
    source = torch.tensor(draw.integers(0, 4, (2, 68, 2)) * [1.0, flatness])  # most coincide
    mapped = fit_tps(source, torch.tensor(draw.uniform(0, 64, (2, 68, 2)))).map(a_grid())
    assert mapped.isfinite().all()


def test_a_warp_is_scikit_images() -> None:
    source, target = random_points(3, batch=1)
    image = smooth_image(64, 60)
    ours, valid = warp_images(image, source, target, regularisation=0, every_px=1)
    back = ThinPlateSplineTransform.from_estimate(target[0].numpy(), source[0].numpy())
    theirs = warp(image[0].permute(1, 2, 0).numpy(), back, order=1, mode="edge")
    inside = valid[0, 0] > 0
    np.testing.assert_allclose(ours[0][:, inside], theirs[inside.numpy()].T, atol=1e-3)
    assert 0.5 < inside.double().mean() < 1


@pytest.mark.parametrize("every_px", [1, 3, 4])
@pytest.mark.parametrize("shape", [(40, 56), (33, 1)])
def test_points_that_stay_leave_the_image_as_it_is(every_px: int, shape: tuple[int, int]) -> None:
    points, _ = random_points(4, batch=1)
    image = smooth_image(*shape)
    warped, valid = warp_images(image, points, points, every_px=every_px)
    assert torch.allclose(warped, image, atol=1e-6)
    assert valid.eq(1).all()


def test_a_shift_moves_pixels_and_invalidates_what_comes_from_outside() -> None:
    points, _ = random_points(4, batch=1)
    image = smooth_image(20, 30).float()
    warped, valid = warp_images(image, points, points + torch.tensor([5.0, -2.0]))
    assert torch.allclose(warped[..., :-2, 5:], image[..., 2:, :-5], atol=1e-4)
    assert torch.equal(valid[0, 0].nonzero().amin(0), torch.tensor([0, 5]))
    assert torch.equal(valid[0, 0].nonzero().amax(0), torch.tensor([17, 29]))
    assert torch.allclose(warped[..., :-2, :5], image[..., 2:, :1].expand(-1, -1, -1, 5), atol=1e-4)


def test_pixels_count_as_valid_up_to_half_a_pixel_beyond_the_outermost_centres() -> None:
    points, _ = random_points(4, batch=1)
    image = smooth_image(8, 8)
    assert warp_images(image, points, points + 0.49)[1].eq(1).all()
    assert warp_images(image, points, points + 0.51)[1].sum() == 49


def test_interpolating_the_spline_hardly_moves_pixels() -> None:
    source, target = random_points(6, side=256)
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    positions = torch.stack([x, y]).expand(2, -1, -1, -1).double()
    exact, inside = warp_images(positions, source, target, every_px=1)
    near, _ = warp_images(positions, source, target)
    off_px = ((near - exact) * inside).norm(dim=1)
    assert off_px.max() < 0.3  # at a point, where the spline's curvature is infinite
    assert off_px.quantile(0.99) < 0.02


def test_gradients_reach_the_image() -> None:
    source, target = random_points(7, side=6)
    images = torch.rand(2, 1, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda some: warp_images(some, source, target)[0], images, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_types_are_kept_and_autocast_does_not_blur_positions(dtype: torch.dtype) -> None:
    source, target = random_points(8)
    images = smooth_image(64, 64).expand(2, -1, -1, -1)
    plain, _ = warp_images(images, source, target)
    with torch.autocast("cpu", torch.bfloat16):
        warped, valid = warp_images(images.to(dtype), source.to(torch.float32), target.to(torch.float32))
    assert warped.dtype == valid.dtype == dtype
    assert torch.allclose(warped.double(), plain, atol=2e-2 if dtype == torch.bfloat16 else 1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_the_gpu_warps_as_the_cpu_does() -> None:
    source, target = random_points(9)
    images = smooth_image(64, 64).float().expand(2, -1, -1, -1)
    here = warp_images(images, source, target)
    there = warp_images(images.cuda(), source.cuda(), target.cuda())
    assert torch.allclose(here[0], there[0].cpu(), atol=1e-4)
    assert (here[1] != there[1].cpu()).sum() <= 2


@pytest.mark.shared
def test_real_references_hardly_fold_and_meet_the_landmarks(shared_faces: Path) -> None:
    files = sorted((shared_faces / "aligned512_landmarks" / "00022").glob("*.txt"))[:9]
    landmarks = torch.tensor(np.stack([np.loadtxt(file) for file in files]))
    source, target = landmarks[:-1], landmarks[1:]
    spline = fit_tps(target, source, REGULARISATION)
    assert (spline.map(target) - source).norm(dim=-1).mean() < 1.5
    lines = torch.arange(0, 512, 4, dtype=torch.float64)
    places = spline.map(torch.cartesian_prod(lines, lines)[None]).view(-1, 128, 128, 2)
    along_x, along_y = places[:, 1:, :-1] - places[:, :-1, :-1], places[:, :-1, 1:] - places[:, :-1, :-1]
    folds = (along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]) <= 0
    assert folds.double().mean() < 1e-4
