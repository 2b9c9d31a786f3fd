"""Folders of small files as sources, and folders of builds as bytes."""

from pathlib import Path

import pyarrow as pa

from facerefs.schemas.tables import SOURCES


def folder_rows(folder: Path) -> pa.Table:
    """Rows of SOURCES for the files of a folder."""
    rows = [
        dict.fromkeys(SOURCES.names)
        | {"key": path.name, "photo": {"path": str(path), "offset": 0, "length": path.stat().st_size}}
        for path in sorted(folder.iterdir())
    ]
    return pa.Table.from_pylist(rows, SOURCES)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the log of a build, which holds times; by its relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "log.jsonl"
    }
