"""`facerefs doctor`: what is there, what is missing, and how to get it."""

import importlib.metadata
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

PACKAGES = (
    "ray", "torch", "pyarrow", "webdataset", "insightface", "face-alignment", "faiss-cpu", "faiss-gpu", "basicsr",
    "pillow", "dlib-bin", "face_recognition_models", "opencv-python", "simplejpeg", "aiohttp", "protego",
    "brisque",
)  # fmt: skip
OPTIONAL = {
    "faiss-gpu": "for a GPU: pip uninstall faiss-cpu, then pip install 'facerefs[gpu]'",
    "brisque": "for analyse.brisque: pip install --no-deps brisque",
}


@dataclass(frozen=True)
class Finding:
    """One line of the doctor."""

    what: str
    state: str  # ok, missing, optional
    detail: str


def findings() -> Iterator[Finding]:
    """Everything the doctor looks at; nothing is downloaded or changed."""
    yield Finding("python", "ok", f"{platform.python_version()} on {sys.platform}")
    for package in PACKAGES:
        yield _package(package)
    yield from _engines()
    yield _gpu()


def print_doctor() -> None:
    """Print the findings, one to a line, so that a command can be copied whole."""
    console = Console(soft_wrap=True)
    colours = {"ok": "green", "missing": "red", "optional": "yellow"}
    for finding in findings():
        console.print(
            Text.assemble(
                f"{finding.what:<24} ", (f"{finding.state:<9}", colours[finding.state]), finding.detail
            )
        )


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        if name in OPTIONAL:
            return Finding(name, "optional", OPTIONAL[name])
        return Finding(name, "missing", f"pip install {name}")


def _engines() -> Iterator[Finding]:
    from facerefs.stages.engines.engine import MissingWeights
    from facerefs.stages.engines.load import load_detector, load_embedder, load_landmarker

    loaders: dict[str, tuple[str, Callable[[], object]]] = {
        "detector dlib": ("dlib-bin", lambda: load_detector("dlib", None, "cpu", 1024, 0)),
        "detector insightface": ("insightface", lambda: load_detector("insightface", None, "cpu", 1024, 0)),
        "landmarks dlib": ("dlib-bin", lambda: load_landmarker("dlib", None, "cpu")),
        "landmarks fan": ("face-alignment", lambda: load_landmarker("fan", None, "cpu")),
        "embedder dlib": ("dlib-bin", lambda: load_embedder("dlib", None, "cpu")),
        "embedder insightface": ("insightface", lambda: load_embedder("insightface", None, "cpu")),
    }
    for what, (package, load) in loaders.items():
        lacking = "missing" if what.endswith("dlib") else "optional"
        try:
            engine = load()
        except MissingWeights as error:
            yield Finding(what, lacking, str(error))
        except ImportError as error:
            yield Finding(what, lacking, f"{error}: pip install {package}")
        else:
            yield Finding(what, "ok", f"weights found and loaded{_borrowed(engine)}")


def _borrowed(engine: object) -> str:
    from facerefs.stages.engines.calibration import fallback_of

    name = getattr(engine, "name", "")
    lender = fallback_of(name)
    if lender is None:
        return ""
    return f"; nobody measured the cosines of {name}, so those of {lender} serve: measure with facerefs calibrate"


def _gpu() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("gpu", "missing", f"{error}: pip install torch")
    if torch.cuda.is_available():
        return Finding("gpu", "ok", torch.cuda.get_device_name(0))
    return Finding("gpu", "optional", "none found: everything runs on the CPU")
