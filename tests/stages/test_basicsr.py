"""basicsr can be imported here, whatever torchvision is beside it, and NIQE is the literature's."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import skimage.filters

from stages.basicsr import degradations, niqe

needs_basicsr = pytest.mark.skipif(
    importlib.util.find_spec("basicsr") is None,
    reason="basicsr is not installed (it needs Python 3.12 or older)",
)


@needs_basicsr
def test_kernel_sampler_of_basicsr_is_there() -> None:
    kernel = degradations().bivariate_Gaussian(5, 1.0, 2.0, 0.3, isotropic=False)
    assert kernel.shape == (5, 5)
    assert kernel.sum() == pytest.approx(1)


@needs_basicsr
def test_niqe_is_that_of_the_luma_of_an_rgb_image() -> None:
    from basicsr.metrics.niqe import calculate_niqe

    photo = skimage.data.astronaut()
    luma = 16 + photo @ np.array([65.481, 128.553, 24.966]) / 255  # ITU-R BT.601, as MATLAB's rgb2ycbcr
    assert niqe(photo) == pytest.approx(calculate_niqe(luma, 0, input_order="HW"), abs=0.01)


@needs_basicsr
def test_niqe_worsens_with_noise_and_with_blur() -> None:
    photo = skimage.data.astronaut()
    noisy = photo + np.random.default_rng(0).normal(0, 40, photo.shape)
    blurred = skimage.filters.gaussian(photo, 4, channel_axis=2, preserve_range=True)
    assert niqe(photo) + 1 < min(niqe(_rounded(noisy)), niqe(_rounded(blurred)))


@needs_basicsr
@pytest.mark.parametrize("shape", [(512, 512), (96, 96), (95, 400), (1, 1)])
def test_niqe_is_undefined_without_two_blocks_of_texture(shape: tuple[int, int]) -> None:
    assert np.isnan(niqe(np.zeros((*shape, 3), np.uint8)))


@needs_basicsr
def test_basicsr_leaves_the_process_as_it_was() -> None:
    code = (
        "import numpy as np; before = np.geterr()\n"
        "from stages.basicsr import degradations; degradations()\n"
        "assert np.geterr() == before, np.geterr()\n"
        "import torch, torchvision\n"
        "boxes = torch.tensor([[0., 0., 2., 2.], [0., 0., 2., 2.]])\n"
        "try: kept = torchvision.ops.nms(boxes, torch.tensor([1., .5]), .5); assert kept.tolist() == [0]\n"
        "except RuntimeError as error: assert 'custom C++ ops' in str(error), error\n"
    )
    _run(code)


def test_a_missing_basicsr_is_named_with_the_way_out() -> None:
    answer = _run(
        "import sys; sys.modules['basicsr'] = None\n"
        "from stages.basicsr import BasicsrMissingError, degradations\n"
        "try: degradations()\n"
        "except BasicsrMissingError as error: print(error)\n"
    )
    assert "pip install basicsr" in answer


def _rounded(image: np.ndarray) -> np.ndarray:
    return np.clip(image.round(), 0, 255).astype(np.uint8)


def _run(code: str) -> str:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
