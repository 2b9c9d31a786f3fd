"""Choose the photos to restore and the names of the files to write."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.local_path import check_local
from facerefs.pipeline.restoring.output_file import ENDINGS_TEXT, FACE_ENDINGS, is_whole
from facerefs.pipeline.text import plural

Existing = Literal["refuse", "overwrite", "resume"]
"""What happens if an output is there already; `resume` restores only the photos that lack one."""
_NAMED = 3  # skipped entries of each kind


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


@dataclass(frozen=True)
class RestorePlan:
    """What to restore. done: photos whose outputs are there already, with `resume`. skipped: entries of the folder
    that are no photos, by what they are."""

    files: list[RestoreFiles]
    done: tuple[Path, ...] = ()
    skipped: Mapping[str, Sequence[Path]] = field(default_factory=dict)


def plan_files(
    source: Path,
    out: Path,
    outputs: int,
    pictures: bool,
    references: Sequence[Path],
    existing: Existing = "refuse",
) -> RestorePlan:
    """The photos to restore with their output files; several outputs are numbered from 1: face-1.png, face-2.png.

    Raises UserError if there are no photos, if a photo would be overwritten, or if outputs are there already or cannot
    be written.
    """
    check_local(out, "--out")
    skipped: dict[str, list[Path]] = {}
    found = [_files(photo, target, outputs, pictures) for photo, target in _targets(source, out, skipped)]
    _check_apart(found, references)
    if source.is_dir() and out.resolve() == source.resolve():
        raise UserError(f"{out} holds the photos: choose another folder for --out")
    _check_writable(found[0].outputs[0].parent)
    done = _done(found, existing)
    finished = frozenset(done)
    return RestorePlan([files for files in found if files.photo not in finished], done, skipped)


def describe_skipped(skipped: Mapping[str, Sequence[Path]]) -> str:
    """Such as `1 hidden file (._x.png), 2 other files (list.csv, notes.txt)`."""
    return ", ".join(f"{plural(len(paths), kind)} ({_names(paths)})" for kind, paths in skipped.items())


def _names(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:_NAMED])
    return f"{names} ..." if len(paths) > _NAMED else names


def _targets(source: Path, out: Path, skipped: dict[str, list[Path]]) -> list[tuple[Path, Path]]:
    if source.is_file():
        return [(source, _target(source, out))]
    photos = _photos(source, skipped) if source.is_dir() else []
    if not photos:
        why = f": it holds {describe_skipped(skipped)}" if skipped else ""
        raise UserError(f"{source} is neither a photo nor a folder that holds some{why}")
    _check_folder(source, out)
    return [(path, out / _face_name(path)) for path in photos]


def _photos(folder: Path, skipped: dict[str, list[Path]]) -> list[Path]:
    """The photos of a folder by the rule that a build has, too; other entries are added to `skipped`."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror}") from None
    photos = []
    for path in entries:
        kind = _why_skipped(path)
        if kind is None:
            photos.append(path)
        else:
            skipped.setdefault(kind, []).append(path)
    return photos


def _why_skipped(path: Path) -> str | None:
    from facerefs.stages.images.photo_files import is_photo

    if path.name.startswith("."):
        return "hidden file"
    if path.is_dir():
        return "folder"
    if path.is_symlink() and not path.exists():
        return None  # it may have led to a photo: reading it says so
    if not path.is_file():
        return "other file"
    try:
        return None if is_photo(path) else "other file"
    except OSError:
        return None  # what cannot be read is no photo only if its name says so


def _check_folder(source: Path, out: Path) -> None:
    """Raise UserError if the outputs for the photos of a folder cannot be in `out`."""
    from facerefs.stages.images.photo_files import has_photo_extension

    if out.is_file():
        raise UserError(f"{out} is a file, and {source} is a folder: choose a folder for --out")
    if has_photo_extension(out.name) and not out.is_dir():
        raise UserError(
            f"{out} is the name of one photo, and {source} is a folder of them: choose a folder for --out"
        )


def _target(photo: Path, out: Path) -> Path:
    if out.is_dir():
        return out / _face_name(photo)
    if out.suffix.lower() in FACE_ENDINGS:
        return out
    if out.is_file():
        raise UserError(
            f"{out} is a file of another kind: choose a folder, or a name such as face.png for --out"
        )
    if any(character.isalpha() for character in out.suffix):
        raise UserError(
            f"--out {out} ends in {out.suffix}, and faces are written as {ENDINGS_TEXT}: choose one of these "
            "(a folder of that name must be there already)"
        )
    return out / _face_name(photo)


def _face_name(photo: Path) -> str:
    """The name of the output in a folder: the stem, or the whole name if its ending is not that of a photo we read."""
    from facerefs.stages.images.photo_files import READ_EXTENSIONS

    return f"{photo.stem if photo.suffix.lower() in READ_EXTENSIONS else photo.name}.png"


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


def _check_writable(folder: Path) -> None:
    """Raise UserError if the folder cannot be made, or no file can be made in it."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"{there} is a file, so there can be no folder {folder}: choose another --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"nothing can be written to {there}: choose another --out")


def _done(found: Sequence[RestoreFiles], existing: Existing) -> tuple[Path, ...]:
    """The photos that are restored already, with `resume`. Raises UserError if outputs are there and must not be."""
    if existing == "overwrite":
        return ()
    if existing == "resume":
        return tuple(files.photo for files in found if all(map(is_whole, files.made)))
    there = [path for files in found for path in files.made if path.exists()]
    if not there:
        return ()
    if len(found) == 1:
        raise UserError(
            f"{there[0]} is there already: add --overwrite to replace it, or choose another --out"
        )
    raise UserError(
        f"{plural(len(there), 'file')} of an earlier restoration {'is' if len(there) == 1 else 'are'} there already, "
        f"such as {there[0]}: add --resume to restore the others, --overwrite to replace them, "
        "or choose another --out"
    )
