"""`facerefs trace`: print where a sample, photo, face or person comes from, and what it was used for."""

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from facerefs.pipeline.build.folder import storage_at
from facerefs.pipeline.commands.trace_lines import trace_lines
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.lineage.asked import KINDS, asked_for
from facerefs.pipeline.lineage.backward import trace_of
from facerefs.pipeline.lineage.shards import trace_in_shards
from facerefs.pipeline.lineage.trace import Kind, Trace
from facerefs.pipeline.storage.file_store import FileStore
from facerefs.schemas.file_names import BUILD_FILE, SAMPLES_FOLDER
from facerefs.schemas.manifest import MANIFEST_FILE
from facerefs.schemas.shard_files import is_shard


def trace_command(place: str | Path, text: str, kind: str | None, limit: int, as_json: bool) -> None:
    """Print the trace of `text` in a build or a copy of `samples/`. Raises UserError if there is nothing to trace."""
    found = find_trace(place, text, kind)
    if as_json:
        tree = json.dumps(found.tree(), default=_as_text, ensure_ascii=False, indent=2)
        sys.stdout.buffer.write(f"{tree}\n".encode(errors="backslashreplace"))
        sys.stdout.flush()
        return
    console = Console(soft_wrap=True, markup=False)
    for line in trace_lines(found, limit):
        console.print(line, highlight=False)


def find_trace(place: str | Path, text: str, kind: str | None = None) -> Trace:
    """The trace of `text` in a build or a copy of `samples/`. kind: one of KINDS. Raises UserError."""
    known: Kind | None = next((one for one in KINDS if one == kind), None)
    if kind is not None and known is None:
        raise UserError(f"--as {kind} is no kind that we know: it is one of {', '.join(KINDS)}")
    if not text:
        raise UserError("KEY is empty: give the key of a sample or photo, an id, a URL, a SHA-256 or a name")
    storage = storage_at(place)
    if storage.exists(BUILD_FILE):
        return trace_of(storage, asked_for(storage, text, known))
    for folder in (storage, storage.folder(SAMPLES_FOLDER)):
        if _holds_samples(folder):
            return trace_in_shards(folder, text, known)
    raise UserError(f"{place} holds no training set: give a build's folder, or a copy of its folder samples")


def _holds_samples(folder: FileStore) -> bool:
    return any(name == MANIFEST_FILE or is_shard(name) for name in folder.files(""))


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
