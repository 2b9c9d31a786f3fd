"""Where the engines' weights are on this machine, found without importing an engine. Nothing is ever downloaded."""

from importlib.util import find_spec
from pathlib import Path

from facerefs.stages.engines.engine import MissingWeights

DLIB_LANDMARKS = "shape_predictor_68_face_landmarks.dat"
DLIB_EMBEDDER = "dlib_face_recognition_resnet_model_v1.dat"
DEFAULT_PACK = "buffalo_l"
_PACKS = Path("~/.insightface/models")


def packaged(configured: str | None, file: str) -> Path:
    """A file of dlib's as configured, or from the installed package `face_recognition_models`.

    The package is never imported: its own import needs `pkg_resources`, which setuptools no longer has.
    Raises MissingWeights.
    """
    if configured is not None:
        path = Path(configured).expanduser()
        if not path.is_file():
            raise MissingWeights(
                f"{path} is not there; without it, those of face_recognition_models are used"
            )
        return path
    spec = find_spec("face_recognition_models")
    for folder in spec.submodule_search_locations or [] if spec else []:
        if (path := Path(folder) / "models" / file).is_file():
            return path
    raise MissingWeights(f"{file} is not there; `pip install face_recognition_models` brings it")


def named(engine: str, configured: str | None) -> str:
    """What an engine of dlib's is called in the shards: with the stem of its file where one was configured."""
    return engine if configured is None else f"{engine}:{Path(configured).stem}"


def onnx_files(weights: str | None) -> list[Path]:
    """The .onnx files that `weights` means: a file, a folder, or a pack on this machine. Raises MissingWeights."""
    wanted = weights or DEFAULT_PACK
    path = Path(wanted).expanduser()
    if path.is_file():
        return [path]
    folder = path if path.is_dir() else _PACKS.expanduser() / wanted
    if files := sorted(folder.glob("*.onnx")):
        return files
    raise MissingWeights(
        f"{wanted} is neither an .onnx file, a folder of them, nor a pack in {_PACKS}; InsightFace's packs, "
        'for non-commercial research only, come with `python -c "from insightface.utils import '
        f"ensure_available as get; get('models', '{DEFAULT_PACK}')\"`"
    )
