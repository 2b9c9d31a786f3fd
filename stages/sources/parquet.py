"""Parquet files that hold the photos' bytes: in a column, or as Hugging Face has it in a struct of bytes and path."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from facerefs.schemas.paths import text_of_path
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import MAX_BLOB_BYTES, SOURCES, loaded
from facerefs.stages.sources.kind import SourceKind, SourcePlace
from facerefs.stages.sources.lists.columns import (
    NONE,
    ROLES,
    ColumnNames,
    find_columns,
    quoted_names,
    usual_names,
)
from facerefs.stages.sources.lists.list_rows import BadRowError, Row, bad_row, source_columns, tables
from facerefs.stages.sources.lists.local_photos import LocalPhotos
from facerefs.stages.sources.lists.parquet_file import is_bytes, open_parquet_file, read_rows, text_columns
from facerefs.stages.sources.lists.tally import Tally
from facerefs.stages.sources.lists.url_list import open_url_lists
from facerefs.stages.sources.source import PhotoSource, SourceError

_ROLES = tuple(role for role in ROLES if role != "photo")
_USUAL = ("url", "identity", "licence", "page", "attribution")
_ROWS_PER_BATCH = 64  # few: a value of a dictionary may be in each of them, whatever the file's size
_MAX_PATH_BYTES = 1 << 10


@dataclass(frozen=True)
class ParquetSource:
    """Photos whose bytes are in Parquet rows. As for tars, `sha256` and `bbox` count only if `columns` names them."""

    service_query: ClassVar[str | None] = None

    paths: tuple[Path, ...]
    columns: ColumnNames
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The file's absolute path; the folder, where there are several."""
        return text_of_path(str(self.paths[0] if len(self.paths) == 1 else self.root))

    @property
    def root(self) -> Path:
        """The folder in which all of them lie."""
        return Path(os.path.commonpath([path.parent for path in self.paths]))

    def rows(self) -> Iterator[pa.Table]:
        """Rows of `SOURCES` with the bytes in `photo`, about 8 MB at a time. Raises SourceError for damage."""
        self.notes.clear()
        tally = Tally()
        rows = (row for path in self.paths for row in _rows_of(path, self.root, self.columns, tally))
        yield from tally.counted(tables(rows, loaded(SOURCES)))
        self.notes.extend(tally.notes())


def holds_photos(path: Path, columns: ColumnNames | None = None) -> bool:
    """Whether a Parquet file has a column of photos, by its schema or by `columns.photo`.

    Raises SourceError for a damaged file.
    """
    if columns is not None and columns.photo not in (None, NONE):
        return True
    return bool(_photo_columns(open_parquet_file(str(path), text_of_path(str(path))).schema_arrow))


def open_parquet(paths: Sequence[Path], columns: ColumnNames) -> ParquetSource:
    """The photos of Parquet files. Raises SourceError if one has no column of photos, or if all have no row."""
    source = ParquetSource(tuple(sorted(path.parent.resolve() / path.name for path in paths)), columns)
    rows = 0
    for path in source.paths:
        shown = text_of_path(str(path))
        parquet = open_parquet_file(str(path), shown)
        _columns(parquet.schema_arrow, columns, shown)
        rows += parquet.metadata.num_rows
    if not rows:
        raise SourceError(f"there is no row in {source.name}")
    return source


def _rows_of(path: Path, root: Path, columns: ColumnNames, tally: Tally) -> Iterator[tuple[str, Row]]:
    shown = text_of_path(str(path))
    parquet = open_parquet_file(str(path), shown)
    photo, roles = _columns(parquet.schema_arrow, columns, shown)
    texts = _texts(parquet.schema_arrow, columns, photo)
    file = text_of_path(str(path.relative_to(root)))
    local = LocalPhotos(str(path.parent))
    for number, raw in enumerate(read_rows(parquet, texts, _ROWS_PER_BATCH, shown, photo), start=1):
        row = bad_row("", raw) if isinstance(raw, str) else _row(raw, photo, roles, local, tally)
        yield f"row {number}", {**row, "key": f"{file}/{row['key'] or number}"}


def _row(
    annotations: dict[str, Any], photo: str, roles: dict[str, str], local: LocalPhotos, tally: Tally
) -> Row:
    """A row of SOURCES; its key is the path in the file, or empty."""
    value = annotations.pop(photo)
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    key = _key(path)
    try:
        row = {"key": key, **source_columns(annotations, roles)}
    except BadRowError as error:
        return bad_row(key, str(error))
    tally.compare(annotations.get(roles.get("identity", "")), row["label"])
    if data is None and isinstance(path, str):
        data = local.read(path, MAX_BLOB_BYTES + 1)
        if data is not None:
            tally.add("photos are files on this machine", path)
    if data is None:
        return bad_row(key, f"it has no bytes in `{photo}`")
    if len(data) > MAX_BLOB_BYTES:
        detail = f"{len(data)} bytes, at most {MAX_BLOB_BYTES}"
        return {**row, "reject": Reject.TOO_MANY_BYTES.value, "reject_detail": detail}
    return {**row, "photo": data}


def _key(path: Any) -> str:
    if not isinstance(path, str):
        return ""
    encoded = path.encode(errors="surrogatepass")
    return path if len(encoded) <= _MAX_PATH_BYTES and path.isprintable() else ""


def _columns(schema: pa.Schema, columns: ColumnNames, shown: str) -> tuple[str, dict[str, str]]:
    photos = _photo_columns(schema)
    if columns.photo is not None:
        photos = list(find_columns(_columns_of_bytes(schema), columns, shown, ("photo",)).values())
    if not photos:
        raise SourceError(f"{shown} has no column of photos, only {quoted_names(schema.names)}")
    if len(photos) > 1:
        raise SourceError(
            f"{shown} has {quoted_names(photos)}, each of which may hold the photos: "
            f"choose with --set columns.photo={photos[0]}"
        )
    return photos[0], find_columns(_texts(schema, columns, photos[0]), columns, shown, _ROLES, _USUAL)


def _texts(schema: pa.Schema, columns: ColumnNames, photo: str) -> list[str]:
    return [name for name in text_columns(schema, columns) if name != photo]


def _photo_columns(schema: pa.Schema) -> list[str]:
    """The columns that may hold photos: structs as Hugging Face has them, else bytes under a usual name."""
    structs = [item.name for item in schema if _is_image_struct(item.type)]
    return structs or usual_names("photo", [item.name for item in schema if is_bytes(item.type)])


def _columns_of_bytes(schema: pa.Schema) -> list[str]:
    return [item.name for item in schema if is_bytes(item.type) or _is_image_struct(item.type)]


def _is_image_struct(type_: pa.DataType) -> bool:
    if not pa.types.is_struct(type_) or type_.get_field_index("bytes") < 0:
        return False
    return is_bytes(type_.field("bytes").type)


def _open(place: SourcePlace, columns: ColumnNames) -> PhotoSource | None:
    """Parquet files that hold photos, or that list their URLs."""
    files = [path for path in place.files if path.suffix.lower() == ".parquet"]
    photos = [path for path in files if holds_photos(path, columns)]
    lists = [path for path in files if path not in set(photos)]
    if photos and lists:
        raise SourceError(
            f"{text_of_path(str(place.folder))} mixes Parquet files that hold photos, such as "
            f"{text_of_path(photos[0].name)}, with others that hold none, such as {text_of_path(lists[0].name)}: "
            "give each kind a folder of its own"
        )
    if photos:
        return open_parquet(photos, columns)
    return open_url_lists([str(path) for path in lists], columns) if lists else None


PARQUET = SourceKind(
    name="parquet",
    example="FILE.parquet",
    photos="Photos in a Parquet file or in a folder of such files, or those whose URLs they list.",
    settings=ColumnNames,
    section="columns",
    open=_open,
    reads=lambda path: path.suffix.lower() == ".parquet",
)
