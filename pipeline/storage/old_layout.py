"""Brings a build of an earlier version into today's layout, without making anything again."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from facerefs.pipeline.storage.blobs import blob_folder, path_now, tar_name, with_paths
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.lock import LOCK_FILE
from facerefs.pipeline.storage.part_writer import TAR_KEY, write_parquet
from facerefs.schemas.tables import TABLES


def move_blobs(storage: Storage) -> int:
    """Move the tars that lie beside Parquet files to `blobs/`, and what was being downloaded; returns their number.

    The rows are changed first: as long as a tar is left, a next call goes on.
    """
    old = {table: _tars(storage, table) for table in TABLES if blob_folder(table) != table}
    count = sum(map(len, old.values()))
    if count:
        for table in TABLES:
            for name in storage.parts(table):
                _rewrite(storage, table, name)
    for table, names in old.items():
        storage.filesystem.create_dir(storage.full_path(blob_folder(table)), recursive=True)
        for name in names:
            to = tar_name(table, name.removesuffix(".tar"))
            storage.filesystem.move(storage.full_path(f"{table}/{name}"), storage.full_path(to))
    _move_journals(storage.local_path("downloads"), storage.local_path(blob_folder("downloads")))
    return count


def is_old_layout(storage: Storage) -> bool:
    """Whether tars lie beside Parquet files, as `move_blobs` finds them."""
    return any(_tars(storage, table) for table in TABLES if blob_folder(table) != table)


def _tars(storage: Storage, table: str) -> list[str]:
    return [name for name in storage.files(table) if name.endswith(".tar") and not name.startswith(".")]


def _rewrite(storage: Storage, table: str, name: str) -> None:
    """Let the rows of a part, and its footer, say where the tars are from now on; its digests stay."""
    if storage.part(table, name) is None:
        return  # damaged, or without its tar: it will be made again
    path = f"{table}/{name}.parquet"
    with storage.filesystem.open_input_file(storage.full_path(path)) as file:
        rows = pq.read_table(file)
    metadata = dict(rows.schema.metadata or {})
    if TAR_KEY in metadata:
        tar = json.loads(metadata[TAR_KEY])
        metadata[TAR_KEY] = json.dumps(tar | {"path": path_now(tar["path"])}, sort_keys=True).encode()
    moved = with_paths(rows, path_now).replace_schema_metadata(metadata)
    if not moved.equals(rows, check_metadata=True):
        write_parquet(storage, path, moved)


def _move_journals(old: Path, new: Path) -> None:
    """Move the journals of an interrupted run."""
    for journal in old.glob("*.journal"):
        new.mkdir(parents=True, exist_ok=True)
        journal.replace(new / journal.name)
    (old / LOCK_FILE).unlink(missing_ok=True)
