"""`degrade` as a whole: any batch of thetas, alone or together, repeated, in any precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facerefs.schemas.operations import (
    OPERATIONS,
    Blur,
    Hue,
    Jpeg,
    Mirror,
    MotionBlur,
    Noise,
    PoissonNoise,
    Resize,
    SincBlur,
)
from facerefs.schemas.theta import Theta, from_json, to_json
from facerefs.stages.degrade.apply_theta import degrade, degrade_and_resize_back, resize_back
from facerefs.stages.degrade.program import compile_thetas
from facerefs.stages.degrade.recipes import RECIPES, derive_seed, draw
from tests.stages.degrade.oracle import FLOAT, batch, psnr
from tests.stages.degrade.thetas import KINDS, SIDES, thetas

COUNTED = st.one_of(
    KINDS[Jpeg], KINDS[PoissonNoise]
)  # whose numbers are whole: rounding moves one by a whole step
EXACT = st.one_of(*(drawn for kind, drawn in KINDS.items() if kind not in (Jpeg, PoissonNoise)))


def _photos(count: int, height: int, width: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Different cuttings of one photo."""
    tops = [20 * i % (len(FLOAT) - height + 1) for i in range(count)]
    return batch(*[FLOAT[top : top + height, 150 : 150 + width] for top in tops], dtype=dtype)


def test_every_operation_is_tried_here() -> None:
    assert KINDS.keys() == set(OPERATIONS.values())


def _mixed(size_px: int, each: int = 2) -> list[Theta]:
    """Thetas of all recipes."""
    return [
        draw(recipe, derive_seed(3, name, i), size_px)
        for name, recipe in RECIPES.items()
        for i in range(each)
    ]


@settings(max_examples=40)
@given(st.lists(thetas(EXACT), min_size=2, max_size=4), SIDES, SIDES)
def test_images_are_degraded_together_as_they_are_alone(drawn: list[Theta], height: int, width: int) -> None:
    """In a batch with images of other sizes, and alone."""
    images = _photos(len(drawn), height, width)
    alone = [degrade(one[None], [theta]) for one, theta in zip(images, drawn, strict=True)]
    for at_once in (1, 2, 3, None):
        together = degrade(images, compile_thetas(drawn, height, width, at_once))
        assert together.sizes.shapes == tuple(one.sizes.shapes[0] for one in alone)
        for got, one in zip(together.pixels, alone, strict=True):
            tall, wide = one.pixels.shape[2:]
            torch.testing.assert_close(got[:, :tall, :wide], one.pixels[0], atol=1e-7, rtol=0)


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(COUNTED, thetas(EXACT, most=2)).map(lambda two: (two[0], *two[1])), min_size=2, max_size=4
    ),
    SIDES,
    SIDES,
)
def test_what_counts_levels_does_so_together_as_alone(drawn: list[Theta], height: int, width: int) -> None:
    """JPEG and shot noise round; on pixels of 8 bits they do so alike."""
    images = _photos(len(drawn), height, width)
    together = degrade(images, compile_thetas(drawn, height, width))
    for got, one, theta in zip(together.pixels, images, drawn, strict=True):
        alone = degrade(one[None], [theta]).pixels[0]
        assert psnr(got[:, : alone.shape[1], : alone.shape[2]], alone) > 40


@settings(max_examples=40)
@given(st.lists(thetas(), min_size=1, max_size=3), SIDES, SIDES)
def test_any_theta_twice_gives_the_same_and_finite_pixels(
    drawn: list[Theta], height: int, width: int
) -> None:
    images = _photos(len(drawn), height, width, torch.float32)
    program = compile_thetas(drawn, height, width)
    one, other = degrade(images, program), degrade(images, program)
    assert torch.equal(one.pixels, other.pixels)
    assert one.pixels.isfinite().all()
    again = degrade(images, [from_json(to_json(theta)) for theta in drawn])
    assert again.sizes.shapes == one.sizes.shapes
    full = degrade_and_resize_back(images, drawn)
    assert full.shape == images.shape
    assert torch.equal(full, degrade_and_resize_back(images, drawn))


@pytest.mark.parametrize("at_once", [1, 2, 3, None])
def test_batches_of_all_recipes_give_what_each_image_gives_alone(at_once: int | None) -> None:
    """In single precision a coefficient of JPEG may fall to the other side; seldom."""
    drawn = _mixed(96)
    images = _photos(len(drawn), 96, 96, torch.float32)
    together = degrade(images, compile_thetas(drawn, 96, 96, at_once)).pixels
    losses = []
    for got, one, theta in zip(together, images, drawn, strict=True):
        alone = degrade(one[None], [theta]).pixels[0]
        losses.append(psnr(got[:, : alone.shape[1], : alone.shape[2]], alone))
    assert min(losses) > 35
    assert np.median(losses) > 100


@settings(max_examples=30)
@given(thetas(EXACT), SIDES, SIDES)
def test_theta_between_mirrors_degrades_the_mirrored_image(theta: Theta, height: int, width: int) -> None:
    """Noise, too: it is mirrored with the image."""
    image = _photos(1, height, width)
    mirrored = degrade(image.flip(3), [(Mirror(), *theta, Mirror())]).pixels
    torch.testing.assert_close(mirrored, degrade(image, [theta]).pixels.flip(3), atol=1e-9, rtol=0)


def test_recipes_between_mirrors_degrade_the_mirrored_face() -> None:
    """The JPEG, too: it is of the face as it was before."""
    drawn = _mixed(80, each=1)
    images = _photos(len(drawn), 80, 80)
    mirrored = degrade(images.flip(3), [(Mirror(), *theta, Mirror()) for theta in drawn])
    straight = degrade(images, drawn)
    for one, other, (height, width) in zip(
        mirrored.pixels, straight.pixels, straight.sizes.shapes, strict=True
    ):
        assert psnr(one[:, :height, :width], other[:, :height, :width].flip(2)) > 100


def test_the_cycle_term_degrades_twice_with_one_theta() -> None:
    """T(x, theta) of what was stored is T(x, theta), and T of a restored face has a gradient."""
    stored = [to_json(theta) for theta in _mixed(64)]
    program = compile_thetas([from_json(text) for text in stored], 64, 64)
    truth = _photos(len(stored), 64, 64, torch.float32)
    first = degrade_and_resize_back(truth, program)
    restored_face = (truth + 0.01).requires_grad_()
    again = degrade_and_resize_back(restored_face, program)
    (again - first).square().mean().backward()
    assert restored_face.grad is not None
    assert restored_face.grad.isfinite().all()
    assert (restored_face.grad.abs().amax((1, 2, 3)) > 0).all()
    assert torch.equal(first, degrade_and_resize_back(truth, program))
    assert torch.equal(first, degrade_and_resize_back(truth, compile_thetas(_mixed(64), 64, 64)))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.bfloat16, 0.02), (torch.float16, 0.003), (torch.float64, 0.0005)], ids=str
)
def test_other_precisions_keep_their_dtype_and_are_close(dtype: torch.dtype, tolerance: float) -> None:
    drawn = [
        (Blur(21, 2.0, 3.0, 0.4), Resize(31, 33, "bilinear"), Noise(9.0, False, 4)),
        (SincBlur(21, 2.0), Resize(40, 24, "area"), Hue(0.1)),
        (Resize(50, 50, "bicubic_antialias"), MotionBlur(9, 5.0, 1.0)),
    ]
    images = _photos(3, 64, 64, torch.float32)
    low = degrade(images.to(dtype), drawn).pixels
    full = degrade_and_resize_back(images.to(dtype), drawn)
    assert low.dtype == full.dtype == dtype
    assert (low.double() - degrade(images, drawn).pixels).abs().max() < tolerance
    assert (full.double() - degrade_and_resize_back(images, drawn)).abs().max() < tolerance


def test_autocast_changes_nothing() -> None:
    drawn = _mixed(64, each=1)
    images = _photos(len(drawn), 64, 64, torch.float32)
    expected, full = degrade(images, drawn), degrade_and_resize_back(images, drawn)
    back = resize_back(expected, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(degrade(images, drawn).pixels, expected.pixels)
        assert torch.equal(degrade_and_resize_back(images, drawn), full)
        assert torch.equal(resize_back(expected, 64, 64), back)


def test_images_may_have_any_memory_layout_and_are_not_changed() -> None:
    drawn = _mixed(64, each=1)
    images = _photos(len(drawn), 64, 64, torch.float32)
    expected = degrade(images, drawn).pixels
    for odd in (
        images.to(memory_format=torch.channels_last),
        images.flip(3).contiguous().flip(3),
        images.transpose(2, 3).contiguous().transpose(2, 3),
        torch.nn.functional.pad(images, (3, 3, 3, 3))[..., 3:-3, 3:-3],
    ):
        kept = odd.clone()
        torch.testing.assert_close(degrade(odd, drawn).pixels, expected, atol=1e-5, rtol=0)
        assert torch.equal(odd, kept)


def test_a_program_can_be_used_again_and_sent() -> None:
    """As from a loader's worker."""
    drawn = _mixed(64, each=1)
    images = _photos(len(drawn), 64, 64, torch.float32)
    program = compile_thetas(drawn, 64, 64, 2)
    once = degrade(images, program).pixels
    assert torch.equal(degrade(images, program.to("cpu")).pixels, once)
    turned = degrade(images.roll(1, 0), program).pixels
    assert not torch.equal(turned, once)
    assert torch.equal(degrade(images, program).pixels, once)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 8, 8), r"\(B, 3, H, W\) and floating, not \(3, 8, 8\)"),
        (torch.zeros(1, 4, 8, 8), r"\(B, 3, H, W\) and floating, not \(1, 4, 8, 8\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"not \(1, 3, 8, 8\) torch.uint8"),
        (torch.zeros(2, 3, 8, 8), "2 images of 8 x 8 do not fit a program for 1 of 8 x 8"),
        (torch.zeros(1, 3, 8, 9), "1 images of 8 x 9 do not fit a program for 1 of 8 x 8"),
    ],
)
def test_images_that_do_not_fit_are_refused(images: torch.Tensor, message: str) -> None:
    program = compile_thetas([()], 8, 8)
    for apply in (degrade, degrade_and_resize_back):
        with pytest.raises(ValueError, match=message):
            apply(images, program)


def test_thetas_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 images of 8 x 8 do not fit a program for 1"):
        degrade(torch.zeros(2, 3, 8, 8), [()])
    with pytest.raises(ValueError, match="there is no theta"):
        degrade(torch.zeros(1, 3, 8, 8), [])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU that torch can use")
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_gpu_gives_what_a_cpu_gives(recipe: str) -> None:
    drawn = [draw(RECIPES[recipe], derive_seed(5, recipe, i), 256) for i in range(8)]
    images = _photos(8, 256, 256, torch.float32)
    on_cpu, on_gpu = degrade(images, drawn), degrade(images.cuda(), drawn)
    assert on_gpu.pixels.is_cuda
    assert on_gpu.sizes.shapes == on_cpu.sizes.shapes
    losses = [psnr(one, other.cpu()) for one, other in zip(on_cpu.pixels, on_gpu.pixels, strict=True)]
    assert min(losses) > 38
    assert np.median(losses) > 45
    full = degrade_and_resize_back(images.cuda().requires_grad_(), drawn)
    assert psnr(degrade_and_resize_back(images, drawn), full.detach().cpu()) > 42


def test_nothing_but_torch_and_numpy_is_needed() -> None:
    """The degradation runs on a GPU machine with torch and NumPy only."""
    import subprocess
    import sys

    heavy = ["cv2", "basicsr", "torchvision", "ray", "scipy", "insightface"]
    blocked = f"import sys; [sys.modules.update({{name: None}}) for name in {heavy}]"
    code = f"{blocked}; import facerefs.stages.degrade.apply_theta"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
