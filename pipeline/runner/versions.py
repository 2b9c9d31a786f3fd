"""Versions of the packages on which the bytes of a build depend, to compare the machines of a cluster."""

import platform
import socket
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = (
    *(
        "numpy",
        "pyarrow",
        "pillow",
        "simplejpeg",
        "opencv-python",
        "torch",
        "onnxruntime",
        "dlib-bin",
        "dlib",
    ),
    *("insightface", "face-alignment"),
)
_PACKAGES_OF_SEARCH = ("numpy", "pyarrow", "faiss-cpu", "faiss-gpu")


def versions() -> dict[str, str]:
    """The versions of Python and of the packages here; an empty text for one that is not installed."""
    return {"Python": ".".join(platform.python_version_tuple()[:2])} | {
        name: _version(name) for name in _PACKAGES
    }


def versions_of_search() -> dict[str, str]:
    """The versions of the packages on which the rows of whole stages depend."""
    return {name: _version(name) for name in _PACKAGES_OF_SEARCH}


def processor() -> str:
    """The kind of processor here: its family and the vector instructions by which numpy and FAISS round sums."""
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    return " ".join([platform.machine(), *config["SIMD Extensions"].get("found", [])])


def difference(wanted: Mapping[str, str], wanted_processor: str | None = None) -> str:
    """A sentence on what this machine has otherwise: versions of packages, or the processor, if one is wanted.

    Empty if there is nothing.
    """
    here = versions() | versions_of_search()
    others = [
        f"{name} {here.get(name) or 'not installed'} and not {want or 'none'}"
        for name, want in wanted.items()
        if here.get(name, "") != want
    ]
    if not others and wanted_processor not in (None, processor()):
        return (
            f"node {socket.gethostname()} of the cluster has another kind of processor ({processor()}) than the driver "
            f"({wanted_processor}), and similarities are rounded otherwise there: take nodes of one kind, or do the "
            "whole stages on the driver with --set spread_from_rows=null"
        )
    if not others:
        return ""
    return (
        f"node {socket.gethostname()} of the cluster has {', '.join(others)}: the bytes of a set depend on them, "
        "install the same versions there (constraints.txt has ours)"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
