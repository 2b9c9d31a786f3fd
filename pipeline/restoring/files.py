"""Choose the photos to restore and the names of the files to write."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facerefs.pipeline.errors import UserError

_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif"}


@dataclass(frozen=True)
class RestoreFiles:
    """A photo with a degraded face, and the files to write for it."""

    photo: Path
    outputs: tuple[Path, ...]
    pictures: Path | None  # intermediate results of the model

    @property
    def made(self) -> tuple[Path, ...]:
        """All files to write."""
        return self.outputs if self.pictures is None else (*self.outputs, self.pictures)


def plan_files(
    source: Path, out: Path, outputs: int, pictures: bool, references: Sequence[Path]
) -> list[RestoreFiles]:
    """The photos to restore with their output files; several outputs are numbered from 1: face-1.png, face-2.png.

    Raises UserError if there are no photos, or if a photo would be overwritten.
    """
    found = [_files(photo, target, outputs, pictures) for photo, target in _targets(source, out)]
    _check_apart(found, references)
    return found


def _targets(source: Path, out: Path) -> list[tuple[Path, Path]]:
    if source.is_file():
        return [(source, _target(source, out))]
    photos = sorted(path for path in source.glob("*") if path.suffix.lower() in _ENDINGS)
    if not photos:
        raise UserError(f"{source} is neither a photo nor a folder that holds some")
    if out.is_file():
        raise UserError(f"{out} is a file, and {source} is a folder: choose a folder for --out")
    return [(path, out / f"{path.stem}.png") for path in photos]


def _target(photo: Path, out: Path) -> Path:
    if out.suffix.lower() in _ENDINGS and not out.is_dir():
        return out
    if out.is_file():
        raise UserError(
            f"{out} is a file of another kind: choose a folder, or a name such as face.png for --out"
        )
    return out / f"{photo.stem}.png"


def _files(photo: Path, target: Path, outputs: int, pictures: bool) -> RestoreFiles:
    numbered = tuple(target.with_stem(f"{target.stem}-{number}") for number in range(1, outputs + 1))
    shown = target.with_name(f"{target.stem}-pictures.png") if pictures else None
    return RestoreFiles(photo, numbered if outputs > 1 else (target,), shown)


def _check_apart(found: Sequence[RestoreFiles], references: Sequence[Path]) -> None:
    """Raise UserError if a file would be written twice, or would overwrite an input photo or a reference."""
    given = {path.resolve() for path in (*references, *(files.photo for files in found))}
    owner: dict[Path, Path] = {}
    for files in found:
        for path in files.made:
            if path.resolve() in given:
                raise UserError(
                    f"{path} is one of the photos, and would be overwritten: choose another --out"
                )
            other = owner.setdefault(path.resolve(), files.photo)
            if other != files.photo:
                raise UserError(f"{other} and {files.photo} would both become {path}: rename one of them")
