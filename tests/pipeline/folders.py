"""Folders of small files as sources, and folders of builds as bytes."""

from pathlib import Path

import pyarrow as pa
from pyarrow.fs import FileSelector

from facerefs.pipeline.storage.catalogue import CATALOGUE_FOLDER
from facerefs.pipeline.storage.file_store import FileStore
from facerefs.schemas.tables import SOURCES


def folder_rows(folder: Path) -> pa.Table:
    """Rows of SOURCES for the files of a folder."""
    rows = [
        dict.fromkeys(SOURCES.names)
        | {"key": path.name, "photo": {"path": str(path), "offset": 0, "length": path.stat().st_size}}
        for path in sorted(folder.iterdir())
    ]
    return pa.Table.from_pylist(rows, SOURCES)


def contents(place: Path | str) -> dict[str, bytes]:
    """Every file below a folder or address but a build's log and catalogues, which hold times; by its relative path."""
    store = FileStore.at(place)
    found = store.filesystem.get_file_info(FileSelector(store.root, recursive=True, allow_not_found=True))
    names = sorted(info.path.removeprefix(f"{store.root}/") for info in found if info.is_file)
    data = {name: store.filesystem.open_input_stream(store.full_path(name)).read() for name in names}
    return {
        name: data
        for name, data in data.items()
        if name != "log.jsonl" and not name.startswith(CATALOGUE_FOLDER)
    }
