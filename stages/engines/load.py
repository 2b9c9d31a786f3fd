"""From the choice of an engine to the engine, importing only what is chosen. All raise MissingWeights."""

from typing import Literal

from facerefs.stages.engines.engine import Detector, Embedder, Landmarker

_HOG_SIDE_PX = 1280
_SCRFD_SIDE_PX = 640  # finds faces a fifth as large as HOG can
Device = Literal["cpu", "cuda"]


def load_detector(
    engine: Literal["dlib", "insightface"],
    weights: str | None,
    device: Device,
    side_px: int | None,
    upsample: int,
    min_face_px: float = 0,
) -> Detector:
    """Load a face detector. Raises MissingWeights.

    side_px: larger photos are reduced to it. None: to the engine's default; first as far as faces whose FFHQ square
    has min_face_px in the photo need, which is where smaller ones may be missed if others are found.
    """
    face_px = min_face_px if side_px is None else 0
    if engine == "dlib":
        from facerefs.stages.engines.dlib import HogDetector

        return HogDetector(side_px or _HOG_SIDE_PX, upsample, face_px)
    from facerefs.stages.engines.insightface import Scrfd

    return Scrfd(weights, device, side_px or _SCRFD_SIDE_PX, min_face_px=face_px)


def load_landmarker(engine: Literal["dlib", "fan"], weights: str | None, device: Device) -> Landmarker:
    """Load a 68-point landmark engine. Raises MissingWeights."""
    if engine == "dlib":
        from facerefs.stages.engines.dlib import Dlib68

        return Dlib68(weights)
    from facerefs.stages.engines.fan import Fan

    return Fan(weights, device)


def load_embedder(engine: Literal["dlib", "insightface"], weights: str | None, device: Device) -> Embedder:
    """Load a face embedder. Raises MissingWeights."""
    if engine == "dlib":
        from facerefs.stages.engines.dlib import DlibResnet

        return DlibResnet(weights)
    from facerefs.stages.engines.insightface import ArcFace

    return ArcFace(weights, device)
