"""Make torchvision importable where its compiled extension does not load.

That happens, for example, with a CPU build of torch and a CUDA build of torchvision: `import torchvision` fails,
because it describes operators that only the extension declares. A normal installation is not changed.
"""

import functools
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any


def import_torchvision() -> ModuleType:
    """The module `torchvision`; after this call, packages that import it do not fail.

    Raises ImportError if torchvision is not installed.
    """
    _declare_operators()
    return importlib.import_module("torchvision")


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
