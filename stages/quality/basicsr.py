"""The only module that imports basicsr: makes basicsr 1.4.2 work with current versions of torchvision.

It works around three problems, without changing a normal installation:

1. basicsr imports `torchvision.transforms.functional_tensor`, which torchvision 0.17 removed.
2. `import torchvision` may fail: see stages/quality/torchvision_compat.py.
3. basicsr silences NumPy's floating-point warnings for the whole process.

basicsr's JPEG helper is not exposed on purpose: it passes a quality that OpenCV 5 refuses.
"""

import functools
import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np

from facerefs.stages.quality.torchvision_compat import import_torchvision


class BasicsrMissingError(ImportError):
    """basicsr, or a package that it needs, is not installed."""


@functools.cache
def degradations() -> ModuleType:
    """Module `basicsr.data.degradations`: blur kernels and noise, as GFPGAN and Real-ESRGAN draw them.

    Raises BasicsrMissingError if basicsr or torchvision is not installed.
    """
    return _basicsr("basicsr.data.degradations")


def niqe_model_file() -> Path:
    """The path of the statistics of natural images for NIQE, as its authors released them (.npz).

    Raises BasicsrMissingError if basicsr is not installed. Does not import basicsr.
    """
    _require("basicsr")
    package = importlib.util.find_spec("basicsr")
    for folder in (package.submodule_search_locations or []) if package else []:
        file = Path(folder, "metrics", "niqe_pris_params.npz")
        if file.is_file():
            return file
    raise BasicsrMissingError("basicsr is installed without metrics/niqe_pris_params.npz: install it anew")


@functools.cache
def _basicsr(name: str) -> ModuleType:
    _require("basicsr")
    _require("torchvision")
    import_torchvision()
    _register_functional_tensor()
    with np.errstate():  # restores what basicsr's np.seterr changes
        return importlib.import_module(name)


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise BasicsrMissingError(
            f"{package} is not installed: `pip install {package}` (basicsr needs Python 3.12 or older)"
        )


def _register_functional_tensor() -> None:
    from torchvision.transforms import functional

    name = "torchvision.transforms.functional_tensor"
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        module = importlib.util.module_from_spec(ModuleSpec(name, None))
        module.__dict__["rgb_to_grayscale"] = functional.rgb_to_grayscale
        sys.modules[name] = module
