"""The only door to basicsr: makes basicsr 1.4.2 importable on today's torchvision, and gives NIQE.

Three things stand in the way, and are dealt with here without changing a normal installation:

1. basicsr imports `torchvision.transforms.functional_tensor`, a name which torchvision 0.17 dropped.
2. `import torchvision` may fail: stages/torchvision_door.py opens it.
3. basicsr silences NumPy's floating-point warnings for the whole process.

basicsr's JPEG helper stays out of reach on purpose: it passes OpenCV 5 a quality that it refuses.
"""

import functools
import importlib
import importlib.util
import sys
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from stages.torchvision_door import import_torchvision


class BasicsrMissingError(ImportError):
    """basicsr, or what it needs, is not installed."""


@functools.cache
def degradations() -> ModuleType:
    """Module `basicsr.data.degradations`: blur kernels and noise, as GFPGAN and Real-ESRGAN draw them.

    Raises BasicsrMissingError if basicsr or torchvision is not installed.
    """
    return _basicsr("basicsr.data.degradations")


def niqe(image_rgb: NDArray[np.uint8]) -> float:
    """NIQE of an image: lower is more natural (Mittal et al. 2013, eq. 10, on Y rounded to whole numbers).

    image_rgb: (H, W, 3) uint8. NaN where NIQE is undefined: fewer than two 96 px blocks have texture.
    Raises BasicsrMissingError if basicsr or torchvision is not installed.
    """
    module = _basicsr("basicsr.metrics.niqe")
    if (image_rgb.shape[0] // 96) * (image_rgb.shape[1] // 96) < 2:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a block without texture has no statistics
        try:
            return float(module.calculate_niqe(image_rgb[..., ::-1], crop_border=0))  # it expects BGR
        except np.linalg.LinAlgError:
            return float("nan")


@functools.cache
def _basicsr(name: str) -> ModuleType:
    for package in ("basicsr", "torchvision"):
        if importlib.util.find_spec(package) is None:
            raise BasicsrMissingError(
                f"{package} is not installed: `pip install {package}` (basicsr needs Python 3.12 or older)"
            )
    import_torchvision()
    _register_functional_tensor()
    with np.errstate():  # puts back what basicsr's np.seterr changes
        return importlib.import_module(name)


def _register_functional_tensor() -> None:
    from torchvision.transforms import functional

    name = "torchvision.transforms.functional_tensor"
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        module = importlib.util.module_from_spec(ModuleSpec(name, None))
        module.__dict__["rgb_to_grayscale"] = functional.rgb_to_grayscale
        sys.modules[name] = module
