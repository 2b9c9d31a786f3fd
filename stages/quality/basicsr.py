"""The only module that knows basicsr: its parameters of NIQE. None of its code is run."""

import importlib.util
from pathlib import Path


class BasicsrMissingError(ImportError):
    """basicsr is not installed."""


def niqe_model_file() -> Path:
    """The path of the statistics of natural images for NIQE, as its authors released them (.npz).

    Raises BasicsrMissingError if basicsr is not installed. Does not import basicsr.
    """
    package = importlib.util.find_spec("basicsr")
    if package is None:
        raise BasicsrMissingError(
            "basicsr is not installed: `pip install basicsr` (it needs Python 3.12 or older)"
        )
    for folder in package.submodule_search_locations or []:
        file = Path(folder, "metrics", "niqe_pris_params.npz")
        if file.is_file():
            return file
    raise BasicsrMissingError("basicsr is installed without metrics/niqe_pris_params.npz: install it anew")
