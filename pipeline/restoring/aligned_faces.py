"""Find and align the largest face of a user's photo; every mistake is reported in one sentence."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facerefs.pipeline.config.config import ENGINES
from facerefs.pipeline.errors import UserError
from facerefs.schemas.arrays import UInt8Image

if TYPE_CHECKING:
    from facerefs.stages.engines.engine import Detector, Landmarker
    from facerefs.trainers.restore import AlignedFace


@dataclass(frozen=True, eq=False)
class Engines:
    """A face detector and a landmark engine."""

    detector: "Detector"
    landmarker: "Landmarker"

    def aligned(self, photo: Path, size_px: int, way_out: str = "") -> "AlignedFace":
        """The largest face of a photo, aligned, `size_px` wide. way_out: a hint for the error if no face is found.

        Raises UserError if the photo cannot be read, or shows no face.
        """
        from facerefs.stages.engines.align import align
        from facerefs.trainers.restore import AlignedFace

        pixels = _pixels(photo)
        found = self.detector.detect(pixels)
        if not found:
            raise UserError(f"{self.detector.name} finds no face in {photo}{way_out}")
        try:
            face = align(pixels, found[0], self.landmarker, size_px)
        except ValueError as error:
            raise UserError(f"{photo}: {error}") from None
        return AlignedFace(face.crop.pixels, face.landmarks)

    def as_it_is(self, photo: Path) -> "AlignedFace":
        """A photo that is already an aligned crop, with its landmarks. Raises UserError if it cannot be read."""
        from facerefs.stages.engines.align import landmarks_of_crop
        from facerefs.trainers.restore import AlignedFace

        pixels = _pixels(photo)
        return AlignedFace(pixels, landmarks_of_crop(pixels, self.landmarker))


def load_engines(name: str, where: Any) -> Engines:
    """The detector and landmark engine of `--engines`. where: a device. Raises UserError for an unknown name,
    MissingWeights."""
    from facerefs.stages.engines.load import load_detector, load_landmarker

    if name not in ENGINES:
        raise UserError(f"--engines cannot be {name!r}: choose {' or '.join(ENGINES)}")
    chosen: Any = ENGINES[name]
    return Engines(
        load_detector(chosen["detector"], None, where, None, 0),
        load_landmarker(chosen["landmarks"], None, where),
    )


def _pixels(path: Path) -> UInt8Image:
    from facerefs.stages.images.decode import DecodeError, DecodeLimits, decode

    try:
        return decode(path.read_bytes(), DecodeLimits(min_side_px=16)).pixels
    except (DecodeError, OSError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
