"""The degradation engine against OpenCV, libjpeg, basicsr and MATLAB's rules; its draws; its determinism."""

import hashlib
import importlib.util
import math
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import simplejpeg
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.operations import Blur, ColourShift, Gray, Jpeg, MotionBlur, Noise, Resize
from schemas.theta import Theta, from_json, to_json
from stages.degrade.engine import degrade, restore_size
from stages.degrade.jpeg import compress, decompress
from stages.degrade.kernels import blur, gaussian_kernels, motion_kernels
from stages.degrade.noise import add_noise, normal, philox
from stages.degrade.recipes import RECIPES, draw, theta_seed
from stages.degrade.resize import resize

needs_basicsr = pytest.mark.skipif(
    importlib.util.find_spec("basicsr") is None,
    reason="basicsr is not installed (it needs Python 3.12 or older)",
)
PHOTO = skimage.data.astronaut()  # (512, 512, 3) RGB
FLOAT = PHOTO.astype(np.float32) / 255
SIGMAS = [(3.1, 1.2, 0.7), (0.1, 0.1, 0.0), (10.0, 9.0, -2.0), (0.5, 8.0, 3.0)]


def _batch(image: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


def _image(batch: torch.Tensor) -> NDArray[np.float64]:
    return batch[0].permute(1, 2, 0).double().numpy()


def _gaussians(taps: int) -> torch.Tensor:
    return gaussian_kernels(taps, *torch.tensor(SIGMAS, dtype=torch.float64).T)


# blur


@needs_basicsr
def test_gaussian_kernels_are_those_of_basicsr() -> None:
    from stages.basicsr import degradations

    for kernel, (sigma_x, sigma_y, angle) in zip(_gaussians(41), SIGMAS, strict=True):
        expected = degradations().bivariate_Gaussian(41, sigma_x, sigma_y, angle, isotropic=False)
        np.testing.assert_allclose(kernel, expected, atol=1e-15)


def test_a_flat_motion_kernel_is_a_mean_of_neighbours() -> None:
    seven, one = motion_kernels(9, torch.tensor([7.0, 1.0]), torch.zeros(2))
    assert seven[4].tolist() == pytest.approx([0] + [1 / 7] * 7 + [0])
    assert seven.sum() == seven[4].sum()
    assert one[4, 4] == one.sum() == 1


def test_a_motion_kernel_lies_along_its_angle() -> None:
    (kernel,) = motion_kernels(41, torch.tensor([31.0]), torch.tensor([math.radians(30)]))
    offset = torch.arange(41.0) - 20
    xx, yy = (kernel * offset**2).sum(), (kernel.T * offset**2).sum()
    xy = (kernel * offset[None, :] * offset[:, None]).sum()
    assert 0.5 * math.degrees(math.atan2(2 * xy, xx - yy)) == pytest.approx(30, abs=1)


@pytest.mark.parametrize("size", [(512, 512), (33, 7), (9, 13), (1, 1)])
def test_blur_is_that_of_opencv_with_its_mirrored_borders(size: tuple[int, int]) -> None:
    image = FLOAT[: size[0], : size[1]]
    kernels = _gaussians(41)
    blurred = blur(_batch(image).double().expand(len(kernels), -1, -1, -1), kernels)
    for got, kernel in zip(blurred, kernels, strict=True):
        expected = cv2.filter2D(
            image.astype(np.float64), -1, kernel.numpy(), borderType=cv2.BORDER_REFLECT_101
        )
        np.testing.assert_allclose(_image(got[None]), expected.reshape(image.shape), atol=1e-6)


def test_blur_correlates_and_does_not_convolve() -> None:
    kernel = torch.rand(1, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = cv2.filter2D(FLOAT.astype(np.float64), -1, kernel[0].numpy())
    np.testing.assert_allclose(_image(blur(_batch(FLOAT).double(), kernel)), expected, atol=1e-10)


# resize


@pytest.mark.parametrize("size", [(97, 97), (640, 640), (171, 33), (1, 1), (1280, 1280)])
def test_bilinear_is_that_of_opencv(size: tuple[int, int]) -> None:
    expected = cv2.resize(FLOAT, size, interpolation=cv2.INTER_LINEAR)
    got = resize(_batch(FLOAT).double(), size[1], size[0], "bilinear")
    np.testing.assert_allclose(_image(got), expected, atol=1e-6)


@needs_basicsr
@pytest.mark.parametrize("scale", [8, 16, 32, 64, 0.5])
def test_bicubic_is_that_of_matlab_up_to_the_border(scale: float) -> None:
    from stages.basicsr import degradations

    degradations()  # makes basicsr importable
    from basicsr.utils.matlab_functions import imresize

    image = FLOAT[:128, :192] if scale < 1 else FLOAT
    height, width = int(image.shape[0] / scale), int(image.shape[1] / scale)
    got = resize(_batch(image).double(), height, width, "bicubic_antialias")
    np.testing.assert_allclose(_image(got), imresize(image, 1 / scale), atol=1e-5)


# noise


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0A4093822,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(
    counter: tuple[int, ...], key: int, expected: tuple[int, ...]
) -> None:
    assert philox(torch.tensor(counter)[:, None], key)[:, 0].tolist() == list(expected)


def test_noise_is_standard_normal() -> None:
    from scipy.stats import kstest

    series = [normal(seed, 20_000) for seed in range(50)]
    # One seed may well look odd; over many seeds, p-values are uniform.
    assert kstest([kstest(drawn, "norm").pvalue for drawn in series], "uniform").pvalue > 0.01
    assert abs(np.corrcoef(np.stack(series)) - np.eye(50)).max() < 0.04
    assert abs(np.corrcoef(series[0][:-1], series[0][1:])[0, 1]) < 0.04
    assert torch.equal(normal(5, 7), series[5][:7])


def test_noise_has_its_sigma_is_clipped_and_gray_only_if_asked() -> None:
    middle = torch.full((1, 3, 64, 64), 0.5, dtype=torch.float64)
    colour, gray = add_noise(middle, 12.0, False, 3), add_noise(middle, 12.0, True, 3)
    assert (colour - middle).std() * 255 == pytest.approx(12, rel=0.03)
    assert not torch.equal(colour[:, 0], colour[:, 1])
    assert torch.equal(gray[:, 0], gray[:, 2])
    extreme = add_noise(middle, 255.0, False, 3)
    assert (extreme.min(), extreme.max()) == (0, 1)


# JPEG


@pytest.mark.parametrize("quality", [5, 60, 75, 100])
@pytest.mark.parametrize("size", [(512, 512), (97, 97), (33, 171), (1, 1)])
def test_jpeg_has_the_bytes_of_opencv_and_the_pixels_of_every_decoder(
    quality: int, size: tuple[int, int]
) -> None:
    image = np.ascontiguousarray(PHOTO[: size[0], : size[1]])
    data = compress(image, quality, "4:2:0")
    _, expected = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert data == expected.tobytes()
    pixels = decompress(data)
    np.testing.assert_array_equal(pixels, cv2.imdecode(expected, cv2.IMREAD_COLOR)[..., ::-1])
    np.testing.assert_array_equal(pixels, simplejpeg.decode_jpeg(data))


def test_jpeg_keeps_full_chroma_if_asked() -> None:
    data = compress(PHOTO, 90, "4:4:4")
    assert simplejpeg.decode_jpeg_header(data)[3] == "444"


# recipes


def test_every_recipe_draws_within_its_ranges_and_reaches_their_ends() -> None:
    for name, recipe in RECIPES.items():
        thetas = [draw(recipe, theta_seed(1, name, i), 512) for i in range(1500)]
        ops = [op for theta in thetas for op in theta]
        sizes = [op.out_w for op in ops if isinstance(op, Resize)]
        low, high = min(recipe.scale), max(recipe.scale)
        _fills(sizes, 512 // high, 512 // low, 0.03)
        assert all(op.out_w == op.out_h for op in ops if isinstance(op, Resize))
        if recipe.blurs:
            gaussians = [op for op in ops if isinstance(op, Blur)]
            _fills([op.sigma_x_px for op in gaussians], *recipe.sigma_px)
            _fills([op.sigma_y_px for op in gaussians], *recipe.sigma_px)
            isotropic = sum(op.sigma_x_px == op.sigma_y_px for op in gaussians)
            assert isotropic / len(thetas) == pytest.approx(1 / len(recipe.blurs), abs=0.05)
            _fills([op.angle_rad for op in gaussians if op.angle_rad], -math.pi, math.pi)
        if "motion" in recipe.blurs:
            _fills([op.length_px for op in ops if isinstance(op, MotionBlur)], *recipe.motion_px)
        noises = [op for op in ops if isinstance(op, Noise)]
        if recipe.noise_sigma:
            _fills([op.sigma for op in noises], *recipe.noise_sigma)
            assert len({op.seed for op in noises}) == len(thetas)
        qualities = [op.quality for op in ops if isinstance(op, Jpeg)]
        if recipe.jpeg_quality:
            assert set(qualities) == set(range(recipe.jpeg_quality[0], recipe.jpeg_quality[1] + 1))
            assert all(isinstance(theta[-1], Jpeg) for theta in thetas)
        shifts = [op for op in ops if isinstance(op, ColourShift)]
        assert len(shifts) / len(thetas) == pytest.approx(recipe.colour_shift_chance, abs=0.04)
        assert sum(isinstance(op, Gray) for op in ops) / len(thetas) == pytest.approx(
            recipe.gray_chance, abs=0.01
        )
        assert [from_json(to_json(theta)) for theta in thetas] == thetas


def _fills(values: list[float] | list[int], low: float, high: float, slack: float = 0.02) -> None:
    margin = slack * (high - low)
    assert low <= min(values) <= low + margin
    assert high - margin <= max(values) <= high


@given(st.integers(0, 2**64), st.text(st.characters(codec="utf-8"), max_size=20), st.integers(0, 10**9))
def test_a_seed_depends_on_each_of_its_parts(seed: int, key: str, number: int) -> None:
    here = theta_seed(seed, key, number)
    assert 0 <= here < 2**64
    assert here == theta_seed(seed, key, number)
    others = {
        theta_seed(seed + 1, key, number),
        theta_seed(seed, key + "x", number),
        theta_seed(seed, key, number + 1),
    }
    assert here not in others


def test_draws_are_fixed_for_ever() -> None:
    assert to_json(draw(RECIPES["gfpgan"], theta_seed(0, "a", 0), 512)) == GOLDEN_THETA


GOLDEN_THETA = (
    '[{"angle_rad":-0.4009065168777095,"op":"blur","sigma_x_px":2.8553259503189157,'
    '"sigma_y_px":1.6316192322215233,"taps":41},{"mode":"bilinear","op":"resize","out_h":111,"out_w":111},'
    '{"gray":false,"op":"noise","seed":3472307482410287,"sigma":10.41913036287821},'
    '{"chroma":"4:2:0","op":"jpeg","quality":76}]'
)


# engine


@needs_basicsr
@pytest.mark.parametrize("number", range(6))
def test_gfpgan_theta_gives_the_pixels_of_basicsr_and_opencv(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GFPGAN's loader step by step, in BGR as it runs, with theta's numbers and our noise for NumPy's."""
    from stages.basicsr import degradations

    blurring, resizing, noise, jpeg = theta = draw(RECIPES["gfpgan"], theta_seed(1, "parity", number), 512)
    assert isinstance(blurring, Blur)
    assert isinstance(resizing, Resize)
    assert isinstance(noise, Noise)
    assert isinstance(jpeg, Jpeg)
    kernel = degradations().bivariate_Gaussian(
        blurring.taps, blurring.sigma_x_px, blurring.sigma_y_px, blurring.angle_rad, isotropic=False
    )
    image = cv2.filter2D(FLOAT[..., ::-1], -1, kernel)
    image = cv2.resize(image, (resizing.out_w, resizing.out_h), interpolation=cv2.INTER_LINEAR)
    drawn = _image(normal(noise.seed, image.size).view(1, 3, *image.shape[:2]))[..., ::-1]
    monkeypatch.setattr(np.random, "randn", lambda *shape: drawn.reshape(shape))
    image = degradations().add_gaussian_noise(image, noise.sigma)
    image = degradations().add_jpg_compression(image, jpeg.quality)

    (degraded,) = degrade(_batch(FLOAT), [theta])
    low = (image[..., ::-1] * 255).round()
    # In single precision a pixel may round the other way before JPEG, and change its block a little.
    assert np.mean(degraded.image != low) < 0.05
    assert np.abs(degraded.image - low).max() <= 8

    full = cv2.resize(image, (512, 512), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    restored = _image(restore_size(degraded.image, 512, 512)[None])
    assert 10 * np.log10(1 / np.mean((restored - full) ** 2)) > 55


def test_colour_shifts_rgb_in_this_order_and_gray_is_luma() -> None:
    (shifted,) = degrade(_batch(FLOAT), [(ColourShift(red=20.0, green=0.0, blue=-30.0),)])
    np.testing.assert_array_equal(shifted.image, np.clip(PHOTO + np.array([20, 0, -30]), 0, 255))
    (gray,) = degrade(_batch(FLOAT), [(Gray(),)])
    luma = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)
    assert np.abs(gray.image.astype(int) - luma[..., None]).max() <= 1


def test_colour_before_jpeg_is_close_to_gfpgan_which_has_it_after() -> None:
    shift = ColourShift(red=15.0, green=-10.0, blue=-18.0)
    before = (Resize(97, 97, "bilinear"), shift, Jpeg(71, "4:2:0"))
    after = (Resize(97, 97, "bilinear"), Jpeg(71, "4:2:0"), shift)
    ours, theirs = degrade(_batch(FLOAT).expand(2, -1, -1, -1), [before, after])
    assert cv2.PSNR(ours.image, theirs.image) > 34


def test_the_jpeg_is_the_degraded_face() -> None:
    thetas = [draw(RECIPES["gfpgan"], theta_seed(0, "a", i), 512) for i in range(3)]
    for degraded in degrade(_batch(FLOAT).expand(3, -1, -1, -1), thetas):
        assert degraded.jpeg is not None
        np.testing.assert_array_equal(simplejpeg.decode_jpeg(degraded.jpeg), degraded.image)


def test_what_does_not_end_with_jpeg_has_none() -> None:
    after_jpeg = (Jpeg(50, "4:2:0"), Resize(64, 64, "bilinear"))
    nothing, bicubic, resized = degrade(
        _batch(FLOAT).expand(3, -1, -1, -1), [(), draw(RECIPES["bicubic"], 0, 512), after_jpeg]
    )
    assert (nothing.jpeg, bicubic.jpeg, resized.jpeg) == (None, None, None)
    np.testing.assert_array_equal(nothing.image, PHOTO)
    assert resized.image.shape == (64, 64, 3)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_bytes_depend_neither_on_threads_nor_on_the_batch() -> None:
    thetas = [draw(RECIPES["posevaried"], theta_seed(0, "b", i), 512) for i in range(4)]
    torch.set_num_threads(1)
    alone = [degrade(_batch(FLOAT), [theta])[0].jpeg for theta in thetas]
    torch.set_num_threads(4)
    together = [degraded.jpeg for degraded in degrade(_batch(FLOAT).expand(4, -1, -1, -1), thetas)]
    assert alone == together


def test_pixels_are_the_same_on_every_machine() -> None:
    rows, columns = np.mgrid[:96, :128]
    scene = (
        np.stack([rows * 2 % 256, columns * 5 % 256, rows * columns % 256], axis=-1).astype(np.float32) / 255
    )
    theta: Theta = (
        Blur(41, 3.1, 1.2, 0.5),
        MotionBlur(21, 9.0, -0.4),
        Resize(61, 47, "bicubic_antialias"),
        Resize(53, 41, "bilinear"),
        Noise(12.4, False, 7),
        Noise(3.0, True, 8),
        ColourShift(1.5, -2.5, 3.5),
    )
    (degraded,) = degrade(_batch(scene), [theta])
    assert hashlib.sha256(degraded.image.tobytes()).hexdigest() == GOLDEN_PIXELS


GOLDEN_PIXELS = "33bb5bf248b94a6d43581101ef2bba51c8cc5d6640818ceedb730a2348a24fe6"


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from(sorted(RECIPES)), st.integers(0, 99))
def test_images_of_any_size_can_be_degraded(height: int, width: int, recipe: str, seed: int) -> None:
    theta = draw(RECIPES[recipe], seed, min(height, width))
    (degraded,) = degrade(_batch(FLOAT[:height, :width]), [theta])
    size = next(op.out_w for op in theta if isinstance(op, Resize))
    assert degraded.image.shape == (size, size, 3)
    restored = restore_size(degraded.image, height, width)
    assert restored.shape == (3, height, width)
    assert 0 <= restored.min() <= restored.max() <= 1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 8, 8), r"\(B, 3, H, W\)"),
        (torch.zeros(1, 4, 8, 8), r"\(B, 3, H, W\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "floating"),
        (torch.zeros(2, 3, 8, 8), "2 images have 1 thetas"),
        (torch.full((1, 3, 8, 8), 255.0), "outside"),
        (torch.full((1, 3, 8, 8), math.nan), "outside"),
    ],
)
def test_images_that_are_none_are_refused(images: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        degrade(images, [()])
