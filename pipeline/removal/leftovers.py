"""Removes what may show or name people outside of the tables, and searches the whole folder for what is left."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector

from facerefs.pipeline.removal.chosen import rows_with
from facerefs.pipeline.runner.event_log import LOG_FILE
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import RUNS_FOLDER

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".html")
_SLICE_BYTES = 48  # of a compressed image: enough to be found nowhere else
_CHUNK = 1 << 24
_MOST_NAMED = 20


@dataclass(frozen=True)
class Traces:
    """What must be found nowhere in the folder any more.

    texts: keys, URLs, ids. names: of people, which count as whole words only. slices: bytes from photos and crops.
    """

    texts: frozenset[str]
    names: frozenset[str]
    slices: frozenset[bytes]


def traces_of(storage: Storage, keys: set[str], people: set[str]) -> Traces:
    """The traces of some photos, to be asked for before they are removed."""
    texts, slices = set(keys), set[bytes]()
    columns = {
        "sources": ("url", "page", "photo"),
        "downloads": ("url", "final_url", "photo", "sha256"),
        "images": ("id", "photo"),
        "faces": ("id", "crop", "crop_sha256", "mask"),
    }
    for table, wanted in columns.items():
        for row in rows_with(storage, table, "key", keys, wanted):
            for value in (row[name] for name in wanted):
                if isinstance(value, str):
                    texts.add(value)
                elif isinstance(value, dict) and not value["path"].startswith("/"):
                    slices |= set(_slice(storage, value["path"], value["offset"], value["length"]))
    return Traces(frozenset(texts), frozenset(people), frozenset(slices))


def _slice(storage: Storage, path: str, offset: int, length: int) -> Iterator[bytes]:
    if length >= 4 * _SLICE_BYTES:
        data = storage.read_blob(path, offset + length // 2, _SLICE_BYTES)
        if data is not None:
            yield data


def remove_run_pictures(storage: Storage) -> dict[str, int]:
    """Remove all pictures and pages of the training runs in the build's folder; returns how many, by run.

    Nobody noted whom they show.
    """
    folder = storage.local_path(RUNS_FOLDER)
    counts: dict[str, int] = {}
    for run in sorted(folder.iterdir()) if storage.is_local and folder.is_dir() else ():
        pictures = [path for path in run.rglob("*") if path.suffix.lower() in _PICTURES and path.is_file()]
        for path in pictures:
            path.unlink()
        counts[run.name] = len(pictures)
    return counts


def clean_log(storage: Storage, traces: Traces) -> int:
    """Remove the lines of the build's log that hold a trace; returns how many."""
    text = storage.read_text(LOG_FILE)
    lines = [] if text is None else text.splitlines(keepends=True)
    kept = [line for line in lines if not _found(_said(line).encode(errors="surrogateescape"), traces)]
    if len(kept) < len(lines):
        storage.write_text(LOG_FILE, "".join(kept))
    return len(lines) - len(kept)


def _said(line: str) -> str:
    """A line of JSON with its letters as they are, not as escapes."""
    try:
        return json.dumps(json.loads(line), ensure_ascii=False)
    except ValueError:
        return line


def places_with(storage: Storage, traces: Traces) -> list[str]:
    """The files of the build's folder in which a trace is left: every byte is read, and every value of each table."""
    selector = FileSelector(storage.root, recursive=True, allow_not_found=True)
    names = sorted(
        info.path.removeprefix(f"{storage.root}/")
        for info in storage.filesystem.get_file_info(selector)
        if info.is_file
    )
    return [name for name in names if _has_trace(storage, name, traces)]


def _has_trace(storage: Storage, name: str, traces: Traces) -> bool:
    if name.endswith(".parquet"):
        with (
            storage.filesystem.open_input_file(storage.full_path(name)) as file,
            pq.ParquetFile(file) as parquet,
        ):
            if any(_values_found(column, traces) for column in parquet.read().columns):
                return True
    longest = max([_SLICE_BYTES, *(4 * len(text) for text in (*traces.texts, *traces.names))])
    before = b""
    with storage.open_to_read(name) as file:
        while chunk := file.read(_CHUNK):
            if _found(before + chunk, traces):
                return True
            before = chunk[-longest:]
    return False


def _values_found(column: pa.ChunkedArray, traces: Traces) -> bool:
    """Whether a text, also within a list or a struct, is or holds a trace."""
    kind = column.type
    if pa.types.is_struct(kind):
        return any(_values_found(child, traces) for child in column.flatten())
    if pa.types.is_list(kind):
        return any(
            _values_found(pa.chunked_array([chunk.flatten()], kind.value_type), traces)
            for chunk in column.chunks
        )
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return False
    return any(
        value is not None and _found(value.encode(errors="surrogateescape"), traces)
        for value in column.unique().to_pylist()
    )


def _found(data: bytes, traces: Traces) -> bool:
    if any(text.encode(errors="surrogateescape") in data for text in traces.texts):
        return True
    if any(one in data for one in traces.slices):
        return True
    return any(re.search(_whole_word(name), data) for name in traces.names)


def _whole_word(name: str) -> bytes:
    """The name, where no letter or digit touches it."""
    return rb"(?<![\w-])" + re.escape(name.encode(errors="surrogateescape")) + rb"(?![\w-])"


def shown_places(places: Sequence[str]) -> str:
    """The first of the places, in words."""
    more = f" and {len(places) - _MOST_NAMED} more" if len(places) > _MOST_NAMED else ""
    return ", ".join(places[:_MOST_NAMED]) + more


def runs_of(storage: Storage) -> list[str]:
    """The names of the training runs in the build's folder."""
    folder = storage.local_path(RUNS_FOLDER)
    is_there = storage.is_local and folder.is_dir()
    return sorted(path.name for path in folder.iterdir() if Path(path).is_dir()) if is_there else []
