"""Versions of the packages on which the bytes of a build depend, to compare the machines of a cluster."""

import platform
import socket
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

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


def versions() -> dict[str, str]:
    """The versions of Python and of the packages here; an empty text for one that is not installed."""
    return {"Python": ".".join(platform.python_version_tuple()[:2])} | {
        name: _version(name) for name in _PACKAGES
    }


def difference(wanted: Mapping[str, str]) -> str:
    """A sentence on the packages of which this machine has other versions than those; empty if there are none."""
    here = versions()
    others = [
        f"{name} {here.get(name) or 'not installed'} and not {want or 'none'}"
        for name, want in wanted.items()
        if here.get(name, "") != want
    ]
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
