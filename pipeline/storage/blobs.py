"""Where the bytes of a table's rows lie: in tars in `blobs/`, so that the folder of a table holds Parquet files alone.

Readers of datasets (pyarrow, polars, Spark, Hugging Face) take every file of a table's folder for a part of it. The
shards stay beside their indexes: `samples/` is a folder of WebDataset tars, which is copied as a whole.
"""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.schemas.file_names import BLOBS_FOLDER, SAMPLES_FOLDER
from facerefs.schemas.tables import BLOB, TABLES

_BLOBS = (BLOB, pa.list_(BLOB))


def blob_folder(table: str) -> str:
    """The folder of a table's tars, relative to the build's folder. Unfinished files of the table are there, too."""
    return table if table == SAMPLES_FOLDER else f"{BLOBS_FOLDER}/{table}"


def tar_name(table: str, part: str) -> str:
    """The path of a part's tar, relative to the build's folder."""
    return f"{blob_folder(table)}/{part}.tar"


def path_now(path: str) -> str:
    """The path of a tar that earlier versions wrote beside its Parquet file; any other path as it is."""
    table = path.partition("/")[0]
    return f"{BLOBS_FOLDER}/{path}" if table in TABLES and table != SAMPLES_FOLDER else path


def path_before(path: str) -> str:
    """The inverse of `path_now`."""
    return path.removeprefix(f"{BLOBS_FOLDER}/")


def with_paths(rows: pa.Table, change: Callable[[str], str]) -> pa.Table:
    """The rows with other paths in their references (`BLOB`) to bytes; the same object if none changes."""
    for number, field in enumerate(rows.schema):
        if field.type not in _BLOBS:
            continue
        column = rows.column(number)
        paths = pc.struct_field(column if field.type == BLOB else pc.list_flatten(column), "path")
        if any(change(path) != path for path in pc.unique(paths).to_pylist() if path is not None):
            moved = [_moved(value, change) for value in column.to_pylist()]
            rows = rows.set_column(number, field, pa.array(moved, field.type))
    return rows


def _moved(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_moved(one, change) for one in value]
    return None if value is None else value | {"path": change(value["path"])}
