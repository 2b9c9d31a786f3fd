"""Reads published splits: files of names that are named by their split, folders of these, lists with a column."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facerefs.pipeline.build.given.lists import LISTS, column, opened, text
from facerefs.pipeline.config.given import Given
from facerefs.pipeline.errors import UserError
from facerefs.schemas.reject import Reject
from facerefs.schemas.sample import SPLITS
from facerefs.stages.sources.lists.lines import open_decompressed, text_lines, without_compression
from facerefs.stages.sources.source import SourceError

Row = dict[str, Any]
_SPELLINGS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def split_rows(given: Given) -> Iterator[Row]:
    """Rows with the columns of GIVEN_SPLITS, `row` apart. Raises UserError for what cannot be read or has no split."""
    for path in given.splits:
        for file in _files(path):
            if without_compression(file).lower().endswith(".txt"):
                yield from _names(file)
            else:
                yield from _listed(file, given)


def split_named(said: str) -> str | None:
    """The split that a word means: train, val or test; None for another word."""
    return _SPELLINGS.get(said.strip().lower())


def checked_split(said: str) -> Row:
    """The column `split` of a row, or the rejection of a word that is none."""
    split = split_named(said)
    if split is not None:
        return {"split": split}
    detail = f"{said[:80]!r} is no split: write {', '.join(SPLITS)}"
    return {"reject": str(Reject.BAD_PUBLISHED_ROW), "reject_detail": detail}


def _files(path: str) -> list[str]:
    """The file, or those of a folder whose names begin with a split."""
    if not Path(path).is_dir():
        return [path]
    found = [str(file) for file in sorted(Path(path).iterdir()) if file.is_file() and _split_of(file.name)]
    known = [file for file in found if without_compression(file).lower().endswith((".txt", *LISTS))]
    if not known:
        raise UserError(
            f"{path} holds no list of a split: their names begin with {', '.join(SPLITS)}, as test_image.txt"
        )
    return known


def _split_of(name: str) -> str | None:
    return split_named(re.split(r"[^A-Za-z]", name, maxsplit=1)[0])


def _names(file: str) -> Iterator[Row]:
    name = Path(file).name
    split = _split_of(name)
    if split is None:
        raise UserError(
            f"{file} does not say its split: let its name begin with {', '.join(SPLITS)}, or give a .csv with a "
            "column split"
        )
    try:
        with open_decompressed(file) as lines:
            for number, line in enumerate(text_lines(lines, file), 1):
                common: Row = {"file": name, "line": number, "split": split}
                try:
                    said = None if line is None else line.decode().strip()
                except UnicodeDecodeError:
                    said = None
                if said is None:
                    detail = "the line is too long, or no UTF-8 text"
                    yield common | {"reject": str(Reject.BAD_PUBLISHED_ROW), "reject_detail": detail}
                elif said:
                    yield common | {"name": said}
    except SourceError as error:
        raise UserError(str(error)) from None


def _listed(path: str, given: Given) -> Iterator[Row]:
    of_file, asked = _split_of(Path(path).name), vars(given.columns)
    with opened(path) as (names, rows):
        for line, row in rows:
            common: Row = {"file": Path(path).name, "line": line}
            if isinstance(row, str):
                yield common | {"reject": str(Reject.BAD_PUBLISHED_ROW), "reject_detail": row}
                continue
            may_lack = names is None and line > 1  # a row of its own names; the first says what list it is
            known = {
                role: column(role, names or list(row), asked[role], path, may_lack)
                for role in ("photo", "person", "split")
            }
            has_names, has_splits = known["photo"] or known["person"], known["split"] or of_file
            if not may_lack and not (has_names and has_splits):
                raise UserError(
                    f"{path} needs a column of photos or people, and one of splits unless the file's name begins with "
                    "its split: name them with --set given.columns.photo=NAME (or person, split)"
                )
            kind = "photo" if known["photo"] else "person"
            said, split = text(row, known[kind]), text(row, known["split"]) or of_file
            if said is None or split is None:
                detail = f"it names no {kind if said is None else 'split'}"
                yield common | {"reject": str(Reject.BAD_PUBLISHED_ROW), "reject_detail": detail}
            else:
                yield common | {"name": said, "kind": kind} | checked_split(split)
