"""The production detector and embedder: SCRFD and ArcFace from ONNX files, through InsightFace.

Nothing is ever downloaded. Weights are an .onnx file, a folder of them, or the name of a pack that lies in
~/.insightface/models already. InsightFace's own packs are for non-commercial research only.
"""

from typing import Any, Literal

import numpy as np
import onnxruntime
from insightface.model_zoo import get_model
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidProtobuf

from stages import geometry
from stages.engines.engine import Detection, MissingWeights, Pixels, Points, largest_first, reduced, unit
from stages.engines.weights import DEFAULT_PACK, onnx_files

_CLOSE_PX = (
    128  # faces that fill the photo are too large for SCRFD's anchors at 640: it also looks at this size
)
_STRIDE_PX = 32


class Scrfd:
    """Faces by SCRFD: Guo et al., "Sample and Computation Redistribution for Efficient Face Detection"."""

    def __init__(
        self, weights: str | None, device: Literal["cpu", "cuda"], side_px: int, min_score: float = 0.5
    ) -> None:
        self._model, file = _load("detection", weights, device)
        self._model.det_thresh = min_score
        self._side_px = -(-side_px // _STRIDE_PX) * _STRIDE_PX
        self.name = f"scrfd:{file}"

    def detect(self, image: Pixels) -> list[Detection]:
        """Find all faces, the largest first, with their five points; the score is a probability."""
        small, scale = reduced(image, self._side_px)
        sizes = [(side, side) for side in (_CLOSE_PX, self._side_px)]
        boxes, points = self._model.detect(np.ascontiguousarray(small[..., ::-1]), input_size=sizes)
        if points is None:
            points = [None] * len(boxes)
        return largest_first(
            [
                Detection(
                    _to_photo(box[:4].reshape(2, 2), scale).ravel(),
                    float(box[4]),
                    None if five is None else _to_photo(five, scale),
                )
                for box, five in zip(boxes, points, strict=True)
            ]
        )


class ArcFace:
    """Identity by ArcFace: Deng et al., "ArcFace: Additive Angular Margin Loss", 2019."""

    def __init__(self, weights: str | None, device: Literal["cpu", "cuda"]) -> None:
        self._model, file = _load("recognition", weights, device)
        self.name = f"arcface:{file}"

    def embed(self, image: Pixels, landmarks: Points) -> Points:
        """The face with these landmarks, aligned by eyes, nose tip and corners of the mouth."""
        side_px = self._model.input_size[0]
        target = geometry.arcface_points(side_px)
        transform = geometry.similarity_between(geometry.five_points(landmarks), target)
        crop = geometry.warp(image, transform, side_px).pixels
        return unit(self._model.get_feat([np.ascontiguousarray(crop[..., ::-1])])[0])


def _to_photo(points: Points, scale: Points) -> Points:
    """SCRFD counts from the first pixel's corner."""
    return (points * scale - 0.5).astype(np.float32)


def _load(task: str, weights: str | None, device: Literal["cpu", "cuda"]) -> tuple[Any, str]:
    """The first model for the task among the files, and its file's stem. Raises MissingWeights."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a worker has one core
    for file in onnx_files(weights):
        try:
            model = get_model(str(file), providers=[_provider(device)], sess_options=options)
        except InvalidProtobuf as error:
            raise MissingWeights(f"{file} is no ONNX model: {error}") from None
        if model is not None and model.taskname == task:
            return model, file.stem
    raise MissingWeights(f"{weights or DEFAULT_PACK} holds no InsightFace model for {task}")


def _provider(device: Literal["cpu", "cuda"]) -> str:
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
    if provider not in onnxruntime.get_available_providers():
        raise MissingWeights(f"onnxruntime has no {provider}: install onnxruntime-gpu, or set device to cpu")
    return provider
