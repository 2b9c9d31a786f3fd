"""The only module that knows basicsr: its parameters of NIQE. None of its code is run."""

import importlib.util
from pathlib import Path


class BasicsrMissingError(ImportError):
    """basicsr is not installed."""


def niqe_model_file() -> Path:
    """The statistics of natural images that NIQE compares with, as the authors of NIQE released them (.npz).

    Raises BasicsrMissingError if basicsr is not installed. Imports nothing of it.
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
