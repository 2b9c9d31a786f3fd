"""Load the chosen engines, and import only those. All functions raise MissingWeights if weights are missing."""

from typing import Literal, TypeAlias, assert_never

from facerefs.stages.engines.engine import Detector, Embedder, FaceParser, Landmarker

_HOG_SIDE_PX = 1280
_SCRFD_SIDE_PX = 640  # finds faces a fifth as large as HOG can
Device = Literal["cpu", "cuda"]

# A new engine is a name here and a branch below: mypy says where one is missing.
DetectorEngine: TypeAlias = Literal["dlib", "insightface"]
LandmarkEngine: TypeAlias = Literal["dlib", "fan"]
EmbedderEngine: TypeAlias = Literal["dlib", "insightface"]
ParserEngine: TypeAlias = Literal["none", "hull", "bisenet"]


def load_detector(
    engine: DetectorEngine,
    weights: str | None,
    device: Device,
    side_px: int | None,
    upsample: int,
    min_face_px: float = 0,
) -> Detector:
    """A face detector. Raises MissingWeights.

    side_px: larger photos are reduced to this longer side. None: first to the size that faces with an FFHQ square of
    min_face_px need (smaller faces may be missed if a face is found), then to the engine's default.
    """
    face_px = min_face_px if side_px is None else 0
    match engine:
        case "dlib":
            from facerefs.stages.engines.dlib import HogDetector

            return HogDetector(side_px or _HOG_SIDE_PX, upsample, face_px)
        case "insightface":
            from facerefs.stages.engines.insightface import Scrfd

            return Scrfd(weights, device, side_px or _SCRFD_SIDE_PX, min_face_px=face_px)
        case _:
            assert_never(engine)


def load_landmarker(engine: LandmarkEngine, weights: str | None, device: Device) -> Landmarker:
    """A 68-point landmark detector. Raises MissingWeights."""
    match engine:
        case "dlib":
            from facerefs.stages.engines.dlib import Dlib68

            return Dlib68(weights)
        case "fan":
            from facerefs.stages.engines.fan import Fan

            return Fan(weights, device)
        case _:
            assert_never(engine)


def load_embedder(engine: EmbedderEngine, weights: str | None, device: Device) -> Embedder:
    """A face embedder. Raises MissingWeights."""
    match engine:
        case "dlib":
            from facerefs.stages.engines.dlib import DlibResnet

            return DlibResnet(weights)
        case "insightface":
            from facerefs.stages.engines.insightface import ArcFace

            return ArcFace(weights, device)
        case _:
            assert_never(engine)


def load_parsers(engine: ParserEngine, weights: str | None, device: Device) -> tuple[FaceParser, ...]:
    """Face parsers in the order in which they are asked, until one finds the face. Raises MissingWeights."""
    if engine == "none":
        return ()
    from facerefs.stages.engines.parsing.face_parsers import Bisenet, Hull

    match engine:
        case "hull":
            return (Hull(),)
        case "bisenet":
            return (Bisenet(weights, device), Hull())
        case _:
            assert_never(engine)
