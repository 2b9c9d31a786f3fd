"""Choose the photos to restore and the names of the files to write."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Literal

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.local_path import check_local
from facerefs.pipeline.restoring.writing.output_file import ENDINGS_TEXT, FACE_ENDINGS, is_whole
from facerefs.pipeline.text import plural

Existing = Literal["refuse", "overwrite", "resume"]
"""What happens if an output is there already; `resume` restores only the photos that lack one."""
_NAMED = 3  # skipped entries of each kind


@dataclass(frozen=True)
class RestoreFiles:
    """A photo with degraded faces, and the files to write for it."""

    photo: Path
    outputs: tuple[Path, ...]
    pictures: Path | None = None  # intermediate results of the model
    sheet: Path | None = None  # before, reference, after

    @property
    def made(self) -> tuple[Path, ...]:
        """All files to write, except crops of faces: how many there are is not known before."""
        return (*self.outputs, *(path for path in (self.pictures, self.sheet) if path is not None))

    def crop(self, face: int, output: int) -> Path:
        """The file of a restored face, both counted from 1."""
        version = f"-{output}" if len(self.outputs) > 1 else ""
        stem = self.outputs[0].stem.removesuffix("-1") if version else self.outputs[0].stem
        return self.outputs[0].with_name(f"{stem}-face{face}{version}.png")


@dataclass(frozen=True)
class RestorePlan:
    """What to restore. done: photos whose outputs are there already, with `resume`. skipped: entries of folders that
    are no photos, by what they are. single: whether one photo was named, and no folder."""

    files: list[RestoreFiles]
    done: tuple[Path, ...] = ()
    skipped: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    single: bool = False

    @property
    def folder(self) -> Path:
        """Where restored photos are written; of several folders the one that holds them. There is at least one."""
        parents = [str(files.outputs[0].parent.absolute()) for files in self.files]
        return Path(os.path.commonpath(parents))


@dataclass(frozen=True)
class Wanted:
    """What is written per photo. ending: of the files in folders, such as .png."""

    outputs: int = 1
    pictures: bool = False
    sheet: bool = False
    ending: str = ".png"


def plan_files(
    sources: Sequence[Path],
    out: Path,
    wanted: Wanted,
    references: Sequence[Path],
    existing: Existing = "refuse",
) -> RestorePlan:
    """The photos to restore with their output files; several outputs are numbered from 1: face-1.png, face-2.png.

    sources: photos, folders of photos, and patterns such as `trip/*.jpg` (where no such file is). Two photos of one
    name in different folders keep their folders in `out`; two in one folder keep their endings (a.jpg.png).
    Raises UserError if there are no photos, if a photo would be overwritten, or if outputs are there already or cannot
    be written.
    """
    check_local(out, "--out")
    skipped: dict[str, list[Path]] = {}
    places = _expanded(sources)
    single = len(places) == 1 and places[0].is_file()
    found = [_files(photo, target, wanted) for photo, target in _targets(places, out, wanted.ending, skipped)]
    _check_apart(found, references)
    for place in places:
        if place.is_dir() and out.resolve() == place.resolve():
            raise UserError(f"{out} holds the photos: choose another folder for --out")
    _check_writable(found[0].outputs[0].parent)
    done = _done(found, existing)
    finished = frozenset(done)
    left = [files for files in found if files.photo not in finished]
    return RestorePlan(left, done, skipped, single)


def _expanded(sources: Sequence[Path]) -> list[Path]:
    """The sources, with what patterns match in their place, each once. Raises UserError for one that matches none."""
    places: dict[Path, None] = {}
    for source in sources:
        if source.exists() or not any(character in str(source) for character in "*?["):
            places[source] = None
            continue
        names = glob(str(source), recursive=True)  # noqa: PTH207 - a pattern may be absolute
        matches = sorted(map(Path, names), key=_natural)
        if not matches:
            raise UserError(f"{source} matches no file")
        places |= dict.fromkeys(matches)
    return list(places)


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """A key that sorts frame2 before frame10."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def describe_skipped(skipped: Mapping[str, Sequence[Path]]) -> str:
    """Such as `1 hidden file (._x.png), 2 other files (list.csv, notes.txt)`."""
    return ", ".join(f"{plural(len(paths), kind)} ({_names(paths)})" for kind, paths in skipped.items())


def _names(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:_NAMED])
    return f"{names} ..." if len(paths) > _NAMED else names


def _targets(
    places: Sequence[Path], out: Path, ending: str, skipped: dict[str, list[Path]]
) -> list[tuple[Path, Path]]:
    if len(places) == 1 and places[0].is_file():
        return [(places[0], _target(places[0], out, ending))]
    photos: dict[Path, Path] = {}  # by where they are, so that no photo is restored twice
    for place in places:
        own = [place] if place.is_file() else _photos(place, skipped) if place.is_dir() else []
        if not own:
            why = f": it holds {describe_skipped(skipped)}" if skipped else ""
            raise UserError(f"{place} is neither a photo nor a folder that holds some{why}")
        for photo in own:
            photos.setdefault(photo.absolute(), photo)
    _check_folder(out)
    return list(zip(photos.values(), _names_apart(list(photos), out, ending), strict=True))


def _names_apart(photos: Sequence[Path], out: Path, ending: str) -> list[Path]:
    """A name in `out` for each photo: its stem; if others share that, with their folders, then with its ending."""
    names = [_output_name(photo, ending) for photo in photos]
    sharing: dict[str, list[Path]] = {}
    for photo, name in zip(photos, names, strict=True):
        sharing.setdefault(name, []).append(photo.parent)
    nested = [
        out / photo.parent.relative_to(os.path.commonpath(sharing[name])) / name
        for photo, name in zip(photos, names, strict=True)
    ]
    counted = Counter(nested)
    return [
        path if counted[path] == 1 else path.with_name(f"{photo.name}{ending}")
        for photo, path in zip(photos, nested, strict=True)
    ]


def _photos(folder: Path, skipped: dict[str, list[Path]]) -> list[Path]:
    """The photos of a folder by the rule that a build has, too; other entries are added to `skipped`."""
    try:
        entries = sorted(folder.iterdir(), key=_natural)
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


def _check_folder(out: Path) -> None:
    """Raise UserError if the outputs for several photos cannot be in `out`."""
    from facerefs.stages.images.photo_files import has_photo_extension

    if out.is_file():
        raise UserError(f"{out} is a file, and there are several photos: choose a folder for --out")
    if has_photo_extension(out.name) and not out.is_dir():
        raise UserError(
            f"{out} is the name of one photo, and there may be several: choose a folder for --out"
        )


def _target(photo: Path, out: Path, ending: str) -> Path:
    if out.is_dir():
        return out / _output_name(photo, ending)
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
    return out / _output_name(photo, ending)


def _output_name(photo: Path, ending: str) -> str:
    """The name of the output in a folder: the stem, or the whole name if its ending is not that of a photo we read."""
    from facerefs.stages.images.photo_files import READ_EXTENSIONS

    return f"{photo.stem if photo.suffix.lower() in READ_EXTENSIONS else photo.name}{ending}"


def _files(photo: Path, target: Path, wanted: Wanted) -> RestoreFiles:
    numbered = tuple(target.with_stem(f"{target.stem}-{number}") for number in range(1, wanted.outputs + 1))
    shown = target.with_name(f"{target.stem}-pictures.png") if wanted.pictures else None
    sheet = target.with_name(f"{target.stem}-sheet.png") if wanted.sheet else None
    return RestoreFiles(photo, numbered if wanted.outputs > 1 else (target,), shown, sheet)


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
