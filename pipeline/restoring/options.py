"""The options of `facerefs restore`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.files import Existing, Wanted
from facerefs.pipeline.restoring.writing.output_file import FACE_ENDINGS

if TYPE_CHECKING:
    from facerefs.pipeline.restoring.whole import FaceChoice, Faces


@dataclass(frozen=True)
class RestoreOptions:
    """The options of `facerefs restore`, not yet checked."""

    run: Path
    sources: tuple[Path, ...]
    out: Path
    references: tuple[Path, ...] = ()
    person: str | None = None
    blind: Path | None = None
    faces: str = "all"
    strength: float = 1.0
    grain: bool = True
    landmarks: Path | None = None
    aligned: bool = False
    frames: bool = False
    engines: str = "embedded"
    device: str | None = None
    outputs: int = 1
    seed: int = 0
    ending: str = "png"
    quality: int | None = None
    crops: bool = False
    sheet: bool = False
    pictures: bool = False
    overwrite: bool = False
    resume: bool = False

    @property
    def existing(self) -> Existing:
        """What happens to outputs that are there already. Raises UserError if both are asked for."""
        if self.overwrite and self.resume:
            raise UserError("--overwrite and --resume exclude each other: choose one")
        return "overwrite" if self.overwrite else "resume" if self.resume else "refuse"

    @property
    def wanted(self) -> Wanted:
        """What is written per photo. Raises UserError for an unknown format."""
        ending = f".{self.ending.lower().removeprefix('.')}"
        if ending not in FACE_ENDINGS:
            raise UserError(f"--format cannot be {self.ending!r}: choose png, jpg or webp")
        return Wanted(self.outputs, self.pictures, self.sheet and not self.aligned, ending)

    @property
    def choice(self) -> "FaceChoice":
        """Which faces are restored, and how. Raises UserError."""
        from facerefs.pipeline.restoring.whole import FaceChoice

        if not 0 <= self.strength <= 1:
            raise UserError(f"--strength cannot be {self.strength}: choose a number from 0 to 1")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UserError(f"--quality cannot be {self.quality}: choose a number from 1 to 100")
        return FaceChoice(
            self._faces, self.person, self.strength, self.outputs, self.seed, self.grain, self.pictures
        )

    @property
    def _faces(self) -> "Faces":
        if self.faces == "all":
            return "all"
        if self.faces == "largest":
            return "largest"
        if self.faces.isascii() and self.faces.isdecimal() and 1 <= len(self.faces) <= 6 and int(self.faces):
            return int(self.faces)
        raise UserError(
            f"--faces cannot be {self.faces!r}: choose all, largest, or the number of a face (1 is the largest)"
        )
