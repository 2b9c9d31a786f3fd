"""The detector and embedder for production: SCRFD and ArcFace from ONNX files, through InsightFace.

Nothing is ever downloaded. Weights are an .onnx file, a folder of them, or the name of a pack that is already in
~/.insightface/models. InsightFace's own packs are for non-commercial research only.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from insightface.model_zoo import get_model
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidProtobuf

from facerefs.schemas.arrays import Float32s, UInt8Image
from facerefs.stages.engines.engine import (
    Detection,
    MissingWeights,
    largest_first,
    search_sides_px,
    shrink_to,
    unit_length,
)
from facerefs.stages.engines.session import Device, execution_provider, one_thread_options, run_in_batches
from facerefs.stages.engines.weights import DEFAULT_PACK, find_onnx_files
from facerefs.stages.faces import geometry

_CLOSE_PX = (
    128  # faces that fill the photo are too large for SCRFD's anchors at 640: it also looks at this size
)
_STRIDE_PX = 32
# Of 387 faces of 264 px, some turned, dark or half covered, 386 are found at 128, 383 at 96 and 347 at 64.
_SHOWN_PX = 96


class Scrfd:
    """A face detector by SCRFD: Guo et al., "Sample and Computation Redistribution for Efficient Face Detection"."""

    def __init__(
        self,
        weights: str | None,
        device: Device,
        side_px: int,
        min_score: float = 0.5,
        min_face_px: float = 0,
    ) -> None:
        self._model, file = _load("detection", weights, device)
        self._model.det_thresh = min_score
        self._side_px = side_px
        self._min_face_px = min_face_px
        self.name = f"scrfd:{file}"

    def detect(self, image: UInt8Image) -> list[Detection]:
        """All faces, the largest first, with their five points; the score is a probability.

        If a face is found, others with an FFHQ square smaller than min_face_px may be missed.
        """
        for side_px in search_sides_px(image, self._side_px, self._min_face_px, _SHOWN_PX):
            if found := self._detect_at(image, _blocks(side_px)):
                return largest_first(found)
        return []

    def _detect_at(self, image: UInt8Image, side_px: int) -> list[Detection]:
        small, scale = shrink_to(image, side_px, sharp=False)
        sizes = [_input_size(small, px) for px in sorted({_CLOSE_PX, side_px}) if _has_pixels(small, px)]
        if not sizes:
            return []
        boxes, points = self._model.detect(np.ascontiguousarray(small[..., ::-1]), input_size=sizes)
        if points is None:
            points = [None] * len(boxes)
        return [
            Detection(
                _to_photo(box[:4].reshape(2, 2), scale).ravel(),
                float(box[4]),
                None if five is None else _to_photo(five, scale),
            )
            for box, five in zip(boxes, points, strict=True)
        ]


class ArcFace:
    """Face embeddings by ArcFace: Deng et al., "ArcFace: Additive Angular Margin Loss", 2019."""

    def __init__(self, weights: str | None, device: Device) -> None:
        self._model, file = _load("recognition", weights, device)
        self._device = device
        self.name = f"arcface:{file}"

    def chip(self, image: UInt8Image, landmarks: Float32s) -> UInt8Image:
        """The face with these landmarks, aligned by eyes, nose tip and corners of the mouth."""
        side_px = self._model.input_size[0]
        target = geometry.arcface_points(side_px)
        transform = geometry.similarity_between(geometry.five_points(landmarks), target)
        return geometry.warp(image, transform, side_px).pixels

    def embed_chips(self, chips: Sequence[UInt8Image]) -> Float32s:
        """Embeddings (N, D) of chips (S, S, 3); S is 112 for all known files."""
        levels = np.stack(chips).transpose(0, 3, 1, 2).astype(np.float32)
        inputs = (levels - self._model.input_mean) / self._model.input_std
        return unit_length(run_in_batches(self._model.session, inputs, self._device))


def _blocks(length_px: float) -> int:
    return max(1, math.ceil(length_px / _STRIDE_PX)) * _STRIDE_PX


def _has_pixels(image: UInt8Image, side_px: int) -> bool:
    """Whether a photo that is reduced to side_px keeps at least two pixels along its shorter side."""
    height, width = image.shape[:2]
    return bool(min(height, width) * side_px >= 2 * max(height, width))


def _input_size(image: UInt8Image, side_px: int) -> tuple[int, int]:
    """Width and height of SCRFD's input for a photo: not square, so that no large part of it is empty."""
    height, width = image.shape[:2]
    sides = (side_px * side / max(width, height) for side in (width, height))
    across, down = map(_blocks, sides)
    return across, down


def _to_photo(points: Float32s, scale: Float32s) -> Float32s:
    """SCRFD's points in photo pixels: SCRFD counts from the corner of the first pixel."""
    return (points * scale - 0.5).astype(np.float32)


def _load(task: str, weights: str | None, device: Device) -> tuple[Any, str]:
    """The first model for the task among the files, and the stem of its file. Raises MissingWeights."""
    for file in find_onnx_files(weights):
        try:
            model = get_model(
                str(file),
                providers=[execution_provider(device)],
                sess_options=one_thread_options(),
                static_shape_sessions=False,  # one for each shape of photo would take 30 MB and 0.3 s
            )
        except InvalidProtobuf as error:
            raise MissingWeights(f"{file} is no ONNX model: {error}") from None
        if model is not None and model.taskname == task:
            return model, file.stem
    raise MissingWeights(f"{weights or DEFAULT_PACK} holds no InsightFace model for {task}")
