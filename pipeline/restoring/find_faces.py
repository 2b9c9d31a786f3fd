"""Find the faces of a user's photo, turned and enlarged if need be; every mistake is reported in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from facerefs.pipeline.config.config import ENGINES
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.photo import Photo
from facerefs.schemas.arrays import Float32s, UInt8Image

if TYPE_CHECKING:
    from facerefs.stages.engines.engine import Detection, Detector, Embedder, Landmarker
    from facerefs.trainers.restore import AlignedFace

_CLOSE_SIDE_PX = 2560  # a photo without a face is looked at once more, at this longer side
_MOST_ENLARGED = 4.0
# The score from which a face counts that is found only in the photo turned or enlarged. What HOG takes for a face in
# such photos had up to 0.28 on 30 real ones, whose own faces have 0.24 to 3.1; SCRFD gives no score below 0.5.
_SURE = 0.3


@dataclass(frozen=True, eq=False)
class PhotoFaces:
    """The faces of a photo, the largest first.

    photo: as it was turned and enlarged to find them. found: empty if the photo is an aligned face itself.
    warnings: how they were found, if that was a guess.
    """

    photo: Photo
    found: "Sequence[Detection]"
    engines: "Engines"
    warnings: tuple[str, ...] = ()
    enlarged: float = 1.0

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def points(self) -> list[Float32s]:
        """The landmarks (68, 2) of each face in the photo."""
        from facerefs.stages.engines.align import landmarks_of_crop

        pixels, landmarker = self.photo.pixels, self.engines.landmarker
        if not self.found:
            return [landmarks_of_crop(pixels, landmarker)]
        return [landmarker.landmarks(pixels, face.box, face.points) for face in self.found]

    @cached_property
    def embeddings(self) -> Float32s:
        """Embeddings (N, D) of the faces. Raises ValueError if the engines have no embedder."""
        embedder = self.engines.embedder
        if embedder is None:
            raise ValueError("these engines embed no faces")
        return embedder.embed_chips([embedder.chip(self.photo.pixels, points) for points in self.points])

    def aligned(self, number: int, size_px: int) -> "AlignedFace":
        """A face, aligned, `size_px` wide; an aligned photo as it is. Raises UserError if its landmarks span none."""
        from facerefs.stages.engines.align import align
        from facerefs.trainers.restore import AlignedFace

        if not self.found:
            return AlignedFace(self.photo.pixels, self.points[0])
        try:
            face = align(self.photo.pixels, self.found[number], self.engines.landmarker, size_px)
        except ValueError as error:
            raise UserError(f"{self.photo.path}: {error}") from None
        return AlignedFace(face.crop.pixels, face.landmarks)

    def aligned_alpha(self, number: int, size_px: int) -> UInt8Image | None:
        """The alpha (S, S) of an aligned face; None if it is opaque."""
        from PIL import Image

        from facerefs.stages.faces.geometry import ffhq_transform, warp

        if self.photo.alpha is None:
            return None
        if self.found:
            transform = ffhq_transform(self.points[number], size_px).astype(np.float32)
            alpha = warp(np.dstack([self.photo.alpha] * 3), transform, size_px).pixels[..., 0]
        else:
            alpha = np.asarray(Image.fromarray(self.photo.alpha).resize((size_px, size_px)))
        return None if alpha.min() == 255 else alpha

    def where(self, number: int) -> str:
        """Where a face is, in words for the user: its width and centre in the photo."""
        left, top, right, bottom = self.found[number].box / self.enlarged
        return f"{right - left:.0f} px wide, around x={(left + right) / 2:.0f} y={(top + bottom) / 2:.0f}"


@dataclass(frozen=True, eq=False)
class Engines:
    """A face detector, a landmark engine and, if faces are to be compared, an embedder."""

    name: str
    where: Any
    detector: "Detector"
    landmarker: "Landmarker"
    embedder: "Embedder | None"

    def faces_of(self, photo: Photo, way_out: str = "") -> PhotoFaces:
        """The faces of a photo. way_out: a hint for the error if none is found.

        Of the four ways to hold the photo the one with the surest face counts. If there is no face, the photo is
        enlarged. Raises UserError if there still is none.
        """
        quarters, found = _surest_turn(photo, self.detector)
        if found:
            return PhotoFaces(photo.turned(quarters), found, self, _turn_warnings(quarters))
        factor = max(1.0, min(_MOST_ENLARGED, _CLOSE_SIDE_PX / photo.longer_side_px))
        large = photo.enlarged(factor) if factor > 1 else photo
        quarters, found = _surest_turn(large, self._close_detector)
        found = [face for face in found if face.score >= _SURE]
        if not found:
            raise UserError(
                f"{self.detector.name} finds no face in {photo.path}{way_out}; it was also looked for in the photo "
                f"turned, and {_size_tried(photo, large)}; {_other_engines(self.name, self.where)}"
            )
        width_px = (found[0].box[2] - found[0].box[0]) / factor
        warning = f"its face is small, {width_px:.0f} px wide: it was found only {_size_tried(photo, large)}"
        return PhotoFaces(large.turned(quarters), found, self, (*_turn_warnings(quarters), warning), factor)

    def aligned_face(self, photo: Photo) -> PhotoFaces:
        """A photo that is an aligned face already."""
        return PhotoFaces(photo, (), self)

    @cached_property
    def _close_detector(self) -> "Detector":
        from facerefs.stages.engines.load import load_detector

        chosen: Any = ENGINES[self.name]
        return load_detector(chosen["detector"], None, self.where, _CLOSE_SIDE_PX, 0)


def load_engines(name: str, where: Any, compare: bool) -> Engines:
    """The engines of `--engines`. where: a device. compare: with the embedder. Raises UserError for an unknown name,
    MissingWeights."""
    from facerefs.stages.engines.load import load_detector, load_embedder, load_landmarker

    if name not in ENGINES:
        raise UserError(f"--engines cannot be {name!r}: choose {' or '.join(ENGINES)}")
    chosen: Any = ENGINES[name]
    return Engines(
        name,
        where,
        load_detector(chosen["detector"], None, where, None, 0),
        load_landmarker(chosen["landmarks"], None, where),
        load_embedder(chosen["embedder"], None, where) if compare else None,
    )


def _surest_turn(photo: Photo, detector: "Detector") -> "tuple[int, list[Detection]]":
    """By how many quarters to the left the photo must be turned to show its face upright, and the faces it then has."""
    turn, faces = 0, detector.detect(photo.pixels)
    for quarters in (1, 2, 3):
        found = detector.detect(photo.turned(quarters).pixels)
        if _surest(found) >= _SURE and _surest(found) > _surest(faces):
            turn, faces = quarters, found
    return turn, faces


def _surest(faces: "Sequence[Detection]") -> float:
    return max((face.score for face in faces), default=-np.inf)


def _turn_warnings(quarters: int) -> tuple[str, ...]:
    turns = ("", "90 degrees to the left", "180 degrees", "90 degrees to the right")
    return (f"its face was upright only with the photo turned by {turns[quarters]}",) if quarters else ()


def _size_tried(photo: Photo, large: Photo) -> str:
    if large is photo:
        return f"at up to {_CLOSE_SIDE_PX} px"
    return f"enlarged from {photo.size} to {large.size} px"


@cache
def _other_engines(name: str, where: Any) -> str:
    """What to try if these engines find no face: the others, if they are installed."""
    others = [other for other in ENGINES if other != name and _is_installed(other, where)]
    if others:
        return " or ".join(f"try --engines {other}" for other in others)
    return "no other engines are installed (facerefs doctor says how)"


def _is_installed(name: str, where: Any) -> bool:
    from facerefs.stages.engines.engine import MissingWeights

    try:
        load_engines(name, where, compare=False)
    except (MissingWeights, ImportError):
        return False
    return True
