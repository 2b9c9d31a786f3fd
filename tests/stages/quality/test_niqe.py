"""NIQE equals that of basicsr, block for block, and is undefined without texture."""

import importlib
import importlib.util
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import skimage.data
import skimage.filters

from facerefs.stages.quality.basicsr import BasicsrMissingError, niqe_model_file
from facerefs.stages.quality.niqe import niqe
from tests.stages.degrade.basicsr_oracle import basicsr_module

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("basicsr") is None,
    reason="basicsr is not installed (it needs Python 3.12 or older)",
)

PHOTO = skimage.data.astronaut()
NOISE = np.random.default_rng(0).integers(-40, 41, PHOTO.shape)


def framed(photo: np.ndarray, border_px: int) -> np.ndarray:
    """A photo with black borders left and above, as a crop that leaves its photo."""
    photo = photo.copy()
    photo[:border_px], photo[:, :border_px] = 0, 0
    return photo


IMAGES = {
    "photo": PHOTO,
    "small photo": PHOTO[:200, :300],
    "odd size": PHOTO[:301, :255],
    "grey photo": np.repeat(skimage.data.camera()[..., None], 3, axis=2),
    "noisy photo": np.clip(PHOTO + NOISE, 0, 255).astype(np.uint8),
    "large pixels": PHOTO[::4, ::4].repeat(4, axis=0).repeat(4, axis=1),
    "noise alone": (NOISE + 40).astype(np.uint8),
    "fine stripes": ((np.indices((192, 288, 3)).sum(axis=0) * 37) % 251).astype(np.uint8),
}
FLAT_AREAS = {
    "black borders": framed(PHOTO, 150),
    "flat blocks": framed(PHOTO, 200),
    "gradient": np.repeat((np.indices((300, 300)).sum(axis=0) * 0.4)[..., None], 3, axis=2).astype(np.uint8),
    "saturated": np.clip(PHOTO.astype(int) * 2, 0, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def of_basicsr() -> ModuleType:
    return basicsr_module("basicsr.metrics.niqe")


@pytest.mark.parametrize("name", IMAGES)
def test_niqe_is_that_of_basicsr(name: str, of_basicsr: ModuleType) -> None:
    assert niqe(IMAGES[name]) == pytest.approx(expected(of_basicsr, IMAGES[name]), rel=1e-3)


@pytest.mark.parametrize("name", [*IMAGES, *FLAT_AREAS])
def test_niqe_is_more_closely_that_of_basicsr_once_the_half_size_there_is_exact(
    name: str, of_basicsr: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_basicsr, "imresize", lambda image, **_: exact_half(image * 255) / 255)
    image = (IMAGES | FLAT_AREAS)[name]
    assert niqe(image) == pytest.approx(expected(of_basicsr, image), rel=2e-4)


def test_niqe_is_that_of_the_luma_of_an_rgb_image(of_basicsr: ModuleType) -> None:
    luma = 16 + PHOTO @ np.array([65.481, 128.553, 24.966]) / 255  # ITU-R BT.601, as MATLAB's rgb2ycbcr
    assert niqe(PHOTO) == pytest.approx(of_basicsr.calculate_niqe(luma, 0, input_order="HW"), rel=1e-3)


def test_niqe_worsens_with_noise_and_with_blur() -> None:
    noisy = PHOTO + np.random.default_rng(0).normal(0, 40, PHOTO.shape)
    blurred = skimage.filters.gaussian(PHOTO, 4, channel_axis=2, preserve_range=True)
    figures = [niqe(np.clip(image.round(), 0, 255).astype(np.uint8)) for image in (PHOTO, noisy, blurred)]
    assert None not in figures
    assert figures[0] + 1 < min(figures[1:])


@pytest.mark.parametrize("shape", [(512, 512), (96, 96), (95, 400), (1, 1)])
def test_niqe_is_undefined_without_two_blocks_of_texture(shape: tuple[int, int]) -> None:
    assert niqe(np.zeros((*shape, 3), np.uint8)) is None


@pytest.mark.parametrize(("blocks", "defined"), [(1, False), (2, True)])
def test_two_blocks_of_texture_among_flat_ones_are_enough(blocks: int, defined: bool) -> None:
    image = np.full((192, 192, 3), 200, np.uint8)
    image[:96, : 96 * blocks] = PHOTO[:96, : 96 * blocks]
    assert (niqe(image) is not None) == defined


def test_the_same_image_has_the_same_niqe_wherever_it_lies_in_memory() -> None:
    figures = {niqe(np.pad(PHOTO, ((0, 0), (start, 0), (0, 0)))[:, start:]) for start in range(4)}
    assert len(figures) == 1


def test_a_missing_basicsr_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "basicsr", None)
    with pytest.raises(BasicsrMissingError, match="pip install basicsr"):
        niqe_model_file()


def test_niqe_imports_neither_basicsr_nor_torchvision() -> None:
    code = (
        "import sys, numpy as np; from facerefs.stages.quality.niqe import niqe\n"
        "niqe(np.zeros((192, 192, 3), np.uint8))\n"
        "print(sorted({'basicsr', 'torchvision'} & sys.modules.keys()))\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def expected(of_basicsr: ModuleType, image: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a block without texture has no statistics
        return float(of_basicsr.calculate_niqe(image[..., ::-1], crop_border=0))  # it expects BGR


def exact_half(image: np.ndarray) -> np.ndarray:
    """MATLAB's imresize(image, 0.5), bicubic with antialiasing, one output pixel after the other."""
    half = image.astype(np.float64)
    for _ in range(2):
        half = np.stack([halved_row(half, at) for at in range(half.shape[0] // 2)]).T
    return half.astype(np.float32)


def halved_row(image: np.ndarray, at: int) -> np.ndarray:
    centre = 2 * at + 0.5
    mirrored = np.concatenate([image, image[::-1]])
    rows = np.arange(2 * at - 4, 2 * at + 6)
    weights = np.array([cubic(abs(row - centre) / 2) / 2 for row in rows])
    inside = np.where(rows < 0, -1 - rows, rows)
    return weights @ mirrored[inside]


def cubic(x: float) -> float:
    """Keys (1981), a = -1/2."""
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0
