"""`facerefs doctor`: show what is installed, what is missing, and how to install it."""

import importlib.metadata
import json
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, get_args

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
_WITHOUT_WEIGHTS = ("none", "hull")  # of the face parsers
_PACKAGE_OF = {"dlib": "dlib-bin", "fan": "face-alignment"}  # others: same name as the engine


@dataclass(frozen=True)
class Finding:
    """One line of the output of `facerefs doctor`."""

    what: str
    state: str  # ok, missing, optional
    detail: str


def findings() -> Iterator[Finding]:
    """Check packages, engines and GPU; nothing is downloaded or changed."""
    yield Finding("python", "ok", f"{platform.python_version()} on {sys.platform}")
    for package in PACKAGES:
        yield _package(package)
    yield from _engines()
    yield _gpu()


def print_doctor(as_json: bool) -> None:
    """Print one finding per line, unwrapped, so that a command can be copied as a whole; or all as JSON."""
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings()], indent=2))  # noqa: T201
        return
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
    from facerefs.stages.engines import load

    parts: dict[str, tuple[Any, Callable[[Any], object]]] = {
        "detector": (load.DetectorEngine, lambda name: load.load_detector(name, None, "cpu", 1024, 0)),
        "landmarks": (load.LandmarkEngine, lambda name: load.load_landmarker(name, None, "cpu")),
        "embedder": (load.EmbedderEngine, lambda name: load.load_embedder(name, None, "cpu")),
        "parser": (load.ParserEngine, lambda name: load.load_parsers(name, None, "cpu")),
    }
    for part, (names, loaded) in parts.items():
        for name in (name for name in get_args(names) if name not in _WITHOUT_WEIGHTS):
            yield _engine(f"{part} {name}", name, loaded)


def _engine(what: str, name: str, loaded: Callable[[str], object]) -> Finding:
    from facerefs.stages.engines.engine import MissingWeights

    lacking = "missing" if name == "dlib" else "optional"
    try:
        engine = loaded(name)
    except MissingWeights as error:
        return Finding(what, lacking, str(error))
    except ImportError as error:
        return Finding(what, lacking, f"{error}: pip install {_PACKAGE_OF.get(name, name)}")
    return Finding(what, "ok", f"weights found and loaded{_borrowed(engine)}")


def _borrowed(engine: object) -> str:
    from facerefs.stages.engines.calibration import fallback_of

    name = getattr(engine, "name", "")
    lender = fallback_of(name)
    if lender is None:
        return ""
    return f"; {name} has no calibration: that of {lender} is used; measure with facerefs calibrate"


def _gpu() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("gpu", "missing", f"{error}: pip install torch")
    if torch.cuda.is_available():
        return Finding("gpu", "ok", torch.cuda.get_device_name(0))
    return Finding("gpu", "optional", "none found: everything runs on the CPU")
