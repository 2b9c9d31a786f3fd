"""basicsr as a judge: makes basicsr 1.4.2 importable on today's torchvision.

Three things stand in the way, and are dealt with here without changing a normal installation:

1. basicsr imports `torchvision.transforms.functional_tensor`, a name which torchvision 0.17 dropped.
2. `import torchvision` may fail: stages/quality/torchvision_compat.py opens it.
3. basicsr silences NumPy's floating-point warnings for the whole process.

basicsr's JPEG helper stays out of reach on purpose: it passes OpenCV 5 a quality that it refuses.
"""

import functools
import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np

from facerefs.stages.quality.torchvision_compat import import_torchvision


def degradations() -> ModuleType:
    """Module `basicsr.data.degradations`: blur kernels and noise, as GFPGAN and Real-ESRGAN draw them."""
    return basicsr_module("basicsr.data.degradations")


@functools.cache
def basicsr_module(name: str) -> ModuleType:
    """A module of basicsr by its full name; after this call, all others can be imported, too."""
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
