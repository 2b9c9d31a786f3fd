"""The only door to basicsr: makes basicsr 1.4.2 importable on today's torchvision, and gives NIQE.

Three things stand in the way, and are dealt with here without changing a normal installation:

1. basicsr imports `torchvision.transforms.functional_tensor`, a name which torchvision 0.17 dropped.
2. `import torchvision` fails where its compiled extension does not load, as when a CPU build of torch stands
   beside the CUDA build of torchvision: it describes operators that only the extension declares.
3. basicsr silences NumPy's floating-point warnings for the whole process.

basicsr's JPEG helper stays out of reach on purpose: it passes OpenCV 5 a quality that it refuses.
"""

import functools
import importlib
import importlib.util
import sys
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    _declare_operators()
    _register_functional_tensor()
    with np.errstate():  # puts back what basicsr's np.seterr changes
        return importlib.import_module(name)


@functools.cache
def _declare_operators() -> Any:
    """Declare the operators that `import torchvision` describes, if its extension cannot declare them itself.

    They get a schema and no kernel: calling one still raises torchvision's own error. torch forgets the
    declaration with the returned library, so the cache keeps it.
    """
    torch: Any = importlib.import_module("torch")  # Any: these calls of torch are untyped
    for extension in _torchvision_extensions():
        try:
            torch.ops.load_library(str(extension))
        except OSError:
            continue
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def _torchvision_extensions() -> list[Path]:
    spec = importlib.util.find_spec("torchvision")  # finds the folder without importing torchvision
    folders = spec.submodule_search_locations if spec else None
    return [path for folder in folders or () for path in Path(folder).glob("_C*")]


def _register_functional_tensor() -> None:
    from torchvision.transforms import functional

    name = "torchvision.transforms.functional_tensor"
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        module = importlib.util.module_from_spec(ModuleSpec(name, None))
        module.__dict__["rgb_to_grayscale"] = functional.rgb_to_grayscale
        sys.modules[name] = module
