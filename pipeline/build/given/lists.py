"""Reads the rows of a published list, whatever its format, and finds its columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from facerefs.pipeline.errors import UserError
from facerefs.stages.sources.lists.columns import NONE, ColumnNames, quoted_names
from facerefs.stages.sources.lists.lines import open_binary, open_decompressed, without_compression
from facerefs.stages.sources.lists.parquet_file import read_parquet
from facerefs.stages.sources.lists.separated import read_csv, read_tsv
from facerefs.stages.sources.lists.text_rows import RawRow, read_json_lines
from facerefs.stages.sources.source import SourceError

MAX_ROWS = 10_000_000
LISTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")

_USUAL = {
    "target": (
        "gt_image",
        "gt",
        "target",
        "target_image",
        "ground_truth",
        "hq_image",
        "hq",
        "image",
        "photo",
    ),
    "references": ("ref_image", "ref_images", "ref", "refs", "reference", "references", "reference_image"),
    "degraded": ("lq_image", "lq", "degraded", "degraded_image", "lq_path"),
    "photo": ("photo", "image", "gt_image", "file", "file_name", "path", "image_path", "target"),
    "person": ("person", "identity", "name", "label", "subject"),
    "split": ("split", "subset", "partition"),
}


@contextmanager
def opened(path: str) -> Iterator[tuple[list[str] | None, Iterator[tuple[int, RawRow]]]]:
    """The names of the columns, None if each row has its own, and the rows with their numbers from 1.

    Raises UserError for a file that cannot be read, another format, or more than 10 million rows.
    """
    stem = without_compression(path).lower()
    extension = next((one for one in LISTS if stem.endswith(one)), None)
    if extension is None:
        raise UserError(f"{path} is no list that we know: those end in {', '.join(LISTS)}")
    try:
        with open_binary(path) if extension == ".parquet" else open_decompressed(path) as file:
            names, rows = _rows(file, path, extension)
            yield names, _numbered(rows, path)
    except SourceError as error:
        raise UserError(str(error)) from None


def _rows(file: BinaryIO, path: str, extension: str) -> tuple[list[str] | None, Iterator[RawRow]]:
    match extension:
        case ".csv":
            return read_csv(file, path, lambda names: {})
        case ".tsv":
            return read_tsv(file, path, lambda names: {})
        case ".parquet":
            return read_parquet(file, path, ColumnNames())
        case _:
            return None, read_json_lines(file, path)


def _numbered(rows: Iterator[RawRow], path: str) -> Iterator[tuple[int, RawRow]]:
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            raise UserError(f"{path} has more than {MAX_ROWS:,} rows: is it a list of pairs or splits?")
        yield number, row


def column(
    role: str, names: Sequence[str], asked: str | None, path: str, may_lack: bool = False
) -> str | None:
    """The name of the column of a role, None if there is none.

    asked: the setting `given.columns.ROLE`. may_lack: the names are those of one row, which may not have it.
    Of several usual names the first in the order of `_USUAL` counts. Raises UserError if `asked` names no column.
    """
    if asked == NONE:
        return None
    if asked is not None:
        if asked not in names and may_lack:
            return None
        if asked not in names:
            raise UserError(
                f"{path} has no column `{asked}` (given.columns.{role}); it has {quoted_names(names)}"
            )
        return asked
    plain = {_plain(name): name for name in names}
    found = [plain[_plain(name)] for name in _USUAL[role] if _plain(name) in plain]
    return found[0] if found else None


def text(row: dict[str, Any], name: str | None) -> str | None:
    """The text in a column of a row, without blanks around it; None if there is none."""
    value = row.get(name) if name is not None else None
    stripped = "" if value is None else str(value).strip()
    return stripped or None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
