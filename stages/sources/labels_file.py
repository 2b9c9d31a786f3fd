"""Reads a file that names the people in photos: separated by blanks, tabs, commas or semicolons."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facerefs.schemas.names import name_key, path_key
from facerefs.schemas.paths import text_of_path
from facerefs.stages.images.photo_files import has_photo_extension
from facerefs.stages.sources.labels import PhotoLabels
from facerefs.stages.sources.lists.columns import quoted_names, usual_names
from facerefs.stages.sources.source import SourceError


@dataclass(frozen=True)
class _Line:
    number: int
    text: str
    fields: Sequence[str]


def read_labels(path: Path, root: Path) -> PhotoLabels:
    """The names of the photos below `root`, from lines of a photo and a name.

    Commas or semicolons separate the two (RFC 4180) if the file is a .csv or if they stand beside a photo's file name
    in most lines; else a tab or, in a line without one, white space. A first line may name the columns, of which there
    may then be more. Empty lines are ignored.

    Raises SourceError for an unreadable file, a malformed line, and a photo with two names.
    """
    shown = text_of_path(str(path))
    lines = _lines(path)
    header = lines.pop(0) if lines and _is_header(lines[0]) else None
    photo, name = _columns(header, lines, shown)
    labels: dict[str, str] = {}
    for line in lines:
        if not _is_complete(line, header, photo, name):
            raise SourceError(
                f"{shown}, line {line.number}: expected a file name and a label, found {line.text.strip()!r}"
                f"{_hint(line)}"
            )
        key, label = _key(line.fields[photo], root), line.fields[name]
        if label and name_key(labels.setdefault(key, label)) != name_key(label):
            raise SourceError(
                f"{shown}, line {line.number}: {key} is {label} here, but {labels[key]} further up"
            )
    return PhotoLabels(shown, labels)


def _lines(path: Path) -> list[_Line]:
    texts = [(number, line) for number, line in enumerate(_text(path).split("\n"), start=1) if line.strip()]
    for separator in (",", ";"):
        lines = [_Line(number, text, _separated(text, separator)) for number, text in texts]
        beside_photos = sum(len(line.fields) > 1 and any(map(_is_photo, line.fields)) for line in lines)
        if lines and 2 * beside_photos >= len(lines):
            return lines
    if path.suffix.lower() == ".csv":
        return [_Line(number, text, _separated(text, ",")) for number, text in texts]
    return [
        _Line(number, text, _stripped(text.split("\t") if "\t" in text else text.split()))
        for number, text in texts
    ]


def _separated(text: str, separator: str) -> list[str]:
    try:
        (fields,) = csv.reader([text.strip("\r")], delimiter=separator, skipinitialspace=True, strict=True)
    except csv.Error:
        return []  # its quotation marks make no sense
    return _stripped(fields)


def _stripped(fields: Sequence[str]) -> list[str]:
    return [field.strip() for field in fields]


def _is_photo(field: str) -> bool:
    return has_photo_extension(field.partition("?")[0])


def _is_header(line: _Line) -> bool:
    return bool(usual_names("identity", line.fields)) and not any(map(_is_photo, line.fields))


def _columns(header: _Line | None, lines: Sequence[_Line], shown: str) -> tuple[int, int]:
    """The numbers of the columns of photos and of names."""
    photo = _photo_column(lines)
    if header is None or len(header.fields) == 2:
        return (1, 0) if photo == 1 else (0, 1)
    names = [name for i, name in enumerate(header.fields) if i != photo]
    found = usual_names("identity", names)
    if len(found) != 1:
        raise SourceError(
            f"{shown} has {quoted_names(found)} for the names of people: take all but one of them out"
        )
    return photo, header.fields.index(found[0])


def _photo_column(lines: Sequence[_Line]) -> int:
    width = max((len(line.fields) for line in lines), default=0)
    photos = [sum(_is_photo(line.fields[i]) for line in lines if i < len(line.fields)) for i in range(width)]
    return photos.index(max(photos)) if photos else 0


def _is_complete(line: _Line, header: _Line | None, photo: int, name: int) -> bool:
    """Whether a line has all fields; between commas the name may be empty."""
    if len(line.fields) != (2 if header is None else len(header.fields)) or not line.fields[photo]:
        return False
    return header is not None or bool(line.fields[name]) or "," in line.text


def _hint(line: _Line) -> str:
    if "," in line.text:
        return ": quote a name with a comma, and name the columns in the first line if they are more than two"
    return ": put a tab or a comma between the two" if len(line.fields) > 2 else ""


def _key(place: str, root: Path) -> str:
    """The path of a photo in the folder, or the end of it, as `PhotoLabels` compares it."""
    path = place.replace("\\", "/")
    for start in (f"{root}/", "./"):
        if path.startswith(start):
            return path_key(f"/{path.removeprefix(start)}")
    return path_key(path)


def _text(path: Path) -> str:
    shown = text_of_path(str(path))
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise SourceError(f"cannot read the labels in {shown}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"cannot read the labels in {shown}: it is not UTF-8 text") from error
