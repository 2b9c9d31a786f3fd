"""The embedded engines: dlib's HOG detector, 68-point shape predictor and 128-d face ResNet.

The weights come with the package `face_recognition_models`. The 68-point predictor was trained on iBUG 300-W,
which is for research only.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dlib
import numpy as np
from onnxruntime import InferenceSession

from facerefs.schemas.arrays import Float32s, UInt8Image
from facerefs.stages.engines.dlib_layers import read_resnet
from facerefs.stages.engines.dlib_onnx import CHIP_PX, resnet_onnx
from facerefs.stages.engines.engine import Detection, MissingWeights, largest_first, looks, reduced, unit
from facerefs.stages.engines.session import one_core, provider, run_all
from facerefs.stages.engines.weights import DLIB_EMBEDDER, DLIB_LANDMARKS, named, packaged

_STARTS = 0.03 * np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)], dtype=np.float32)  # of the box's side
_AGREE = 0.012  # of the box's side, mean distance of the fits from their mean: 0.002 to 0.008 on faces that are seen

_OF_BOX = 0.9  # side of HOG's boxes, on which the predictor was trained: of that of SCRFD's, at equal area
_SHOWN_PX = 192  # FFHQ's square around the smallest faces that HOG finds has about 160

_PADDING = 0.25  # of the chip's side around the face, as dlib's `compute_face_descriptor` has it


class HogDetector:
    """Frontal faces by histograms of oriented gradients: Dalal and Triggs 2005, with King 2015's training.

    Photos whose longer side exceeds side_px are reduced to it first, since the time grows with the area; and if
    faces whose FFHQ square has min_face_px are shown well, further still, unless none is found then.
    Faces of less than about 80 px are missed then; each upsampling halves that and takes four times as long.
    """

    name = "dlib-hog"

    def __init__(self, side_px: int, upsample: int = 0, min_face_px: float = 0) -> None:
        self._side_px = side_px
        self._upsample = upsample
        self._min_face_px = min_face_px
        self._detector = dlib.get_frontal_face_detector()

    def detect(self, image: UInt8Image) -> list[Detection]:
        """Find all faces, the largest first; the score is the distance from the SVM's plane."""
        for side_px in looks(image, self._side_px, self._min_face_px, _SHOWN_PX):
            small, scale = reduced(image, side_px)
            boxes, scores, _ = self._detector.run(small, self._upsample, 0.0)
            if boxes:
                break
        return largest_first(
            [Detection(_edges(box, scale), score) for box, score in zip(boxes, scores, strict=True)]
        )


class Dlib68:
    """The 68 points of iBUG 300-W by an ensemble of regression trees: Kazemi and Sullivan 2014.

    The mean of five fits from boxes that are moved a little, since the trees depend on where they start:
    eyes, nose and mouth come 4 % (photos) to 8 % (rendered people) nearer to the truth than with one. Where the
    fits disagree, as on a profile, some have slid off the face: then the one from the box itself counts.
    """

    def __init__(self, weights: str | None = None) -> None:
        self.name = named("dlib-68", weights)
        self._predictor = _load(dlib.shape_predictor, packaged(weights, DLIB_LANDMARKS))

    def landmarks(self, image: UInt8Image, box: Float32s, five: Float32s | None = None) -> Float32s:
        """The points of the face in `box`.

        The predictor knows square boxes only, as HOG's are; another box is made square, of the same area. HOG's lie
        around the five points; other detectors' do not on a profile, so `five` says where the square is.
        """
        image = np.ascontiguousarray(image)
        centre, side = (box[:2] + box[2:]) / 2, np.sqrt(np.prod(box[2:] - box[:2]))
        if five is not None:
            centre, side = five.mean(axis=0), _OF_BOX * side
        fits = np.stack([self._fit(image, centre + start * side, side) for start in _STARTS])
        mean: Float32s = fits.mean(axis=0)
        apart = np.linalg.norm(fits - mean, axis=2).mean() / side
        return mean if apart <= _AGREE else fits[0]

    def _fit(self, image: UInt8Image, centre: Float32s, side: float) -> Float32s:
        first, last = centre - side / 2 + 0.5, centre + side / 2 - 0.5  # centres of the outermost pixels
        square = dlib.rectangle(*np.rint([*first, *last]).astype(int).tolist())
        parts = self._predictor(image, square).parts()
        return np.array([(point.x, point.y) for point in parts], dtype=np.float32)


class DlibResnet:
    """128 numbers per face by dlib's ResNet; before scaling to unit length, < 0.6 apart is one person.

    dlib aligns the face, onnxruntime computes the network from dlib's file: the same numbers up to 1e-6, in a
    twentieth of the time.
    """

    def __init__(self, weights: str | None = None) -> None:
        self.name = named("dlib-resnet-128", weights)
        model = resnet_onnx(read_resnet(packaged(weights, DLIB_EMBEDDER)))
        self._session = InferenceSession(model, one_core(), providers=[provider("cpu")])

    def chip(self, image: UInt8Image, landmarks: Float32s) -> UInt8Image:
        """The face, aligned by these landmarks as dlib does it, 150 x 150."""
        parts = [dlib.point(x, y) for x, y in np.rint(landmarks).astype(int).tolist()]
        left, top = np.floor(landmarks.min(axis=0)).astype(int).tolist()
        right, bottom = np.ceil(landmarks.max(axis=0)).astype(int).tolist()
        shape = dlib.full_object_detection(dlib.rectangle(left, top, right, bottom), parts)
        chip: UInt8Image = dlib.get_face_chip(np.ascontiguousarray(image), shape, CHIP_PX, _PADDING)
        return chip

    def embed_chips(self, chips: Sequence[UInt8Image]) -> Float32s:
        """Chips (150, 150, 3) to (N, 128)."""
        levels = np.stack(chips).transpose(0, 3, 1, 2).astype(np.float32)
        return unit(run_all(self._session, levels, "cpu"))

    def embed(self, image: UInt8Image, landmarks: Float32s) -> Float32s:
        """The face with these landmarks."""
        vector: Float32s = self.embed_chips([self.chip(image, landmarks)])[0]
        return vector


def _edges(box: dlib.rectangle, scale: Float32s) -> Float32s:
    """dlib's pixels are inclusive: the box reaches from the first one's outer edge to the last one's."""
    outer = np.array([[box.left(), box.top()], [box.right() + 1, box.bottom() + 1]])
    return (outer * scale - 0.5).astype(np.float32).ravel()


def _load(model: Callable[[str], Any], path: Path) -> Any:
    try:
        return model(str(path))
    except RuntimeError as error:
        raise MissingWeights(
            f"{path} holds no weights of this kind: {' '.join(str(error).split())}"
        ) from None
