"""The ways from the bytes of a photo to faces and embeddings that benchmarks/analyse.py times: ours and the peers'."""

import functools
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facerefs.stages.engines.load import load_detector, load_embedder, load_landmarker
from facerefs.stages.faces import geometry
from facerefs.stages.images.decode import DecodeLimits, decode

Kind = Literal["scrfd, five points", "scrfd, 68 points", "insightface", "hog", "face_recognition"]
SIDE_PX = 640  # of InsightFace's input, its default
_PEER = "install --target FOLDER --no-deps face_recognition==1.3.0 'setuptools<81'"
PEER_MISSING = f"face_recognition is not there: `pip {_PEER}`, and give --peer FOLDER"


@dataclass(frozen=True)
class Way:
    """What a worker does. models: detector and embedder as files. upsample: times that HOG doubles the photo.

    side_px and min_face_px are `detect_side_px` and `min_face_px` of the stage; ours only.
    """

    kind: Kind
    models: tuple[str, str] | None = None
    upsample: int = 0
    side_px: int | None = None
    min_face_px: float = 0
    threads: int = 1  # of onnxruntime
    peer: str | None = None  # the folder that holds face_recognition


@dataclass(frozen=True, eq=False)
class Found:
    """A face: box as left, top, right, bottom; embedding of unit length."""

    box: NDArray[Any]
    embedding: NDArray[Any]


Analysed = Callable[[bytes], list[Found]]


def work(way: Way, photo: Path) -> list[Found]:
    """Do one photo, in a worker that keeps its models."""
    return _made(way)(photo.read_bytes())


@functools.cache
def _made(way: Way) -> Analysed:
    if way.threads == 1:
        cv2.setNumThreads(1)
    match way.kind:
        case "insightface":
            return _insightface(way)
        case "face_recognition":
            return _face_recognition(way)
    return _ours(way)


def _ours(way: Way) -> Analysed:
    engine: Literal["dlib", "insightface"] = "insightface" if way.models else "dlib"
    detects, embeds = way.models or (None, None)
    detector = load_detector(engine, detects, "cpu", way.side_px, way.upsample, way.min_face_px)
    landmarker = load_landmarker("dlib", None, "cpu")
    embedder = load_embedder(engine, embeds, "cpu")

    def analysed(data: bytes) -> list[Found]:
        pixels = decode(data, DecodeLimits()).pixels
        faces = detector.detect(pixels)
        chips = []
        for face in faces:
            five = face.points if way.kind == "scrfd, five points" else None
            points = landmarker.landmarks(pixels, face.box, face.points) if five is None else _as_68(five)
            chips.append(embedder.chip(pixels, points))
        if not chips:
            return []
        vectors = embedder.embed_chips(chips)
        return [Found(face.box, vector) for face, vector in zip(faces, vectors, strict=True)]

    return analysed


def _as_68(five: NDArray[Any]) -> NDArray[Any]:
    """68 points of which `geometry.five_points` makes these five again."""
    points = np.zeros((68, 2), np.float32)
    points[geometry.LEFT_EYE], points[geometry.RIGHT_EYE] = five[0], five[1]
    points[[geometry.NOSE_TIP, *geometry.MOUTH_CORNERS]] = five[2:]
    return points


def _insightface(way: Way) -> Analysed:
    """`FaceAnalysis.get` as its documentation has it; `way.models` lie as root/models/NAME/*.onnx."""
    import onnxruntime
    from insightface.app import FaceAnalysis

    folder = Path((way.models or ("", ""))[0]).parent
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = way.threads
    app = FaceAnalysis(
        name=folder.name,
        root=str(folder.parents[1]),
        allowed_modules=["detection", "recognition"],
        providers=["CPUExecutionProvider"],
        sess_options=options,
    )
    app.prepare(ctx_id=-1, det_size=(SIDE_PX, SIDE_PX))

    def analysed(data: bytes) -> list[Found]:
        faces = app.get(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        return [Found(face.bbox - 0.5, face.normed_embedding) for face in faces]

    return analysed


def _face_recognition(way: Way) -> Analysed:
    """`face_locations` and `face_encodings`; only the upsampling is not always the default."""
    if way.peer:
        sys.path.insert(0, way.peer)
    try:
        face_recognition = import_module("face_recognition")
    except (ImportError, SystemExit):
        raise SystemExit(PEER_MISSING) from None

    def analysed(data: bytes) -> list[Found]:
        pixels = face_recognition.load_image_file(io.BytesIO(data))
        places = face_recognition.face_locations(pixels, number_of_times_to_upsample=way.upsample)
        vectors = face_recognition.face_encodings(pixels, places)
        return [
            Found(np.array([left, top, right, bottom]) - 0.5, vector / np.linalg.norm(vector))
            for (top, right, bottom, left), vector in zip(places, vectors, strict=True)
        ]

    return analysed
