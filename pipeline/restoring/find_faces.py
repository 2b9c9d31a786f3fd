"""Find the faces of a user's photo, turned and enlarged if need be; every mistake is reported in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from facerefs.pipeline.config.config import ENGINES
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.photo import Photo
from facerefs.schemas.arrays import Float32s, Float64s, UInt8Image

if TYPE_CHECKING:
    from facerefs.stages.engines.engine import Detection, Detector, Embedder, Landmarker
    from facerefs.trainers.restore import AlignedFace

# The longer sides to which a photo without a face is enlarged, one after the other, and by how many quarters it is
# turned then: HOG takes 5 s for the larger one.
_CLOSE_LOOKS = {2560: (1, 2, 3), 5120: ()}
_MOST_ENLARGED = 8.0  # faces that need more have less than 10 px
# The score from which a face counts that is found only in the photo turned or enlarged. What HOG takes for a face in
# such photos had up to 0.28 on 30 real ones, whose own faces have 0.24 to 3.1; SCRFD 0.53, its own faces 0.79 to 0.9.
_SURE_HOG = 0.3
_SURE_PROBABILITY = 0.6


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
    quarters: int = 0  # by which the photo was turned to the left, after it was enlarged

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

    def from_original(self) -> Float64s:
        """The transform (2, 3) from pixels of the photo as it was given to pixels of `photo`."""
        from facerefs.stages.faces.geometry import compose

        height, width = self.photo.pixels.shape[:2]
        if self.quarters % 2:
            height, width = width, height  # of the photo before it was turned
        scale, shift = self.enlarged, (self.enlarged - 1) / 2
        transform = np.array([[scale, 0, shift], [0, scale, shift]], np.float64)
        for _ in range(self.quarters):
            transform = compose(np.array([[0.0, 1, 0], [-1, 0, width - 1]]), transform)
            height, width = width, height
        return transform

    def to_square(self, number: int, size_px: int) -> Float64s:
        """The transform (2, 3) from pixels of the photo as it was given to the aligned face. Raises ValueError."""
        from facerefs.stages.faces.geometry import compose, ffhq_transform

        return compose(ffhq_transform(self.points[number], size_px).astype(np.float32), self.from_original())

    def box(self, number: int) -> tuple[float, float, float, float]:
        """The box of a face in the photo as it was given: left, top, right, bottom."""
        from facerefs.stages.faces.geometry import apply_transform, invert

        left, top, right, bottom = self.found[number].box
        corners = apply_transform(invert(self.from_original()), [[left, top], [right, bottom]])
        low, high = corners.min(axis=0), corners.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def width_px(self, number: int) -> float:
        """The side of a face's aligned square in pixels of the photo as it was given."""
        from facerefs.stages.faces.geometry import ffhq_transform, scale_of

        if not self.found:
            return float(self.photo.pixels.shape[1])
        return 1 / scale_of(ffhq_transform(self.points[number], 1)) / self.enlarged

    def where(self, number: int) -> str:
        """Where a face is, in words for the user: its width and centre in the photo."""
        left, top, right, bottom = self.found[number].box / self.enlarged
        centre = f"x={(left + right) / 2:.0f} y={(top + bottom) / 2:.0f}"
        return f"{right - left:.0f} px wide, around {centre}{' of the turned photo' if self.quarters else ''}"


@dataclass(frozen=True, eq=False)
class Engines:
    """A face detector, a landmark engine and, if faces are to be compared, an embedder."""

    name: str
    where: Any
    detector: "Detector"
    landmarker: "Landmarker"
    embedder: "Embedder | None"

    @property
    def sure_score(self) -> float:
        """The detector's score from which a face counts that is found only in the photo turned or enlarged."""
        return _SURE_HOG if ENGINES[self.name]["detector"] == "dlib" else _SURE_PROBABILITY

    def faces_of(self, photo: Photo, way_out: str = "") -> PhotoFaces:
        """The faces of a photo. way_out: a hint for the error if none is found.

        Of the four ways to hold the photo the one with the surest face counts. If there is no face, the photo is
        enlarged. Raises UserError if there still is none.
        """
        quarters, found = _surest_turn(photo, self.detector, self.sure_score)
        if found:
            warnings = _turn_warnings(quarters)
            return PhotoFaces(photo.turned(quarters), found, self, warnings, quarters=quarters)
        large = photo
        for side_px, turns in _CLOSE_LOOKS.items():
            factor = max(1.0, min(_MOST_ENLARGED, side_px / photo.longer_side_px))
            large = photo.enlarged(factor)
            quarters, found = _surest_turn(large, self._detector_at(side_px), self.sure_score, turns)
            if found := [face for face in found if face.score >= self.sure_score]:
                return PhotoFaces(
                    large.turned(quarters),
                    found,
                    self,
                    (*_turn_warnings(quarters), _small(found[0], factor, photo, large)),
                    factor,
                    quarters=quarters,
                )
        raise UserError(
            f"{self.detector.name} finds no face in {photo.path}{way_out}; it was also looked for in the photo turned "
            f"and {_size_tried(photo, large)}: crop a small face, or {_other_engines(self.name, self.where)}"
        )

    def aligned_face(self, photo: Photo) -> PhotoFaces:
        """A photo that is an aligned face already; the warnings say if it seems to lie on its side."""
        quarters, _ = _surest_turn(photo, self.detector, self.sure_score)
        return PhotoFaces(
            photo, (), self, _turn_warnings(quarters, "it is not upright, as an aligned face is")
        )

    def _detector_at(self, side_px: int) -> "Detector":
        from facerefs.stages.engines.load import load_detector

        chosen: Any = ENGINES[self.name]
        return load_detector(chosen["detector"], None, self.where, side_px, 0)


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


def _surest_turn(
    photo: Photo, detector: "Detector", sure_score: float, turns: Sequence[int] = (1, 2, 3)
) -> "tuple[int, list[Detection]]":
    """By how many quarters to the left the photo must be turned to show its face upright, and the faces it then has."""
    turn, faces = 0, detector.detect(photo.pixels)
    for quarters in turns:
        found = detector.detect(photo.turned(quarters).pixels)
        if _surest(found) >= sure_score and _surest(found) > _surest(faces):
            turn, faces = quarters, found
    return turn, faces


def _surest(faces: "Sequence[Detection]") -> float:
    return max((face.score for face in faces), default=-np.inf)


def _turn_warnings(quarters: int, what: str = "it was not upright, and was turned") -> tuple[str, ...]:
    turns = ("", "90 degrees to the left", "180 degrees", "90 degrees to the right")
    return (f"{what}: its face is found only with the photo turned by {turns[quarters]}",) if quarters else ()


def _small(face: "Detection", factor: float, photo: Photo, large: Photo) -> str:
    width_px = (face.box[2] - face.box[0]) / factor
    return f"its face is small, {width_px:.0f} px wide: it was found only {_size_tried(photo, large)}"


def _size_tried(photo: Photo, large: Photo) -> str:
    if large.size == photo.size:
        return f"at its full size of {photo.size} px"
    return f"enlarged from {photo.size} to {large.size} px"


@cache
def _other_engines(name: str, where: Any) -> str:
    """What to try if these engines find no face: the others, if they are installed."""
    others = [other for other in ENGINES if other != name and _is_installed(other, where)]
    if others:
        return " or ".join(f"try --engines {other}" for other in others)
    missing = " and ".join(other for other in ENGINES if other != name)
    return f"use other engines ({missing}: not installed, facerefs doctor says how)"


def _is_installed(name: str, where: Any) -> bool:
    from facerefs.stages.engines.engine import MissingWeights

    try:
        load_engines(name, where, compare=False)
    except (MissingWeights, ImportError):
        return False
    return True
