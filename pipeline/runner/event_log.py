"""The log of a build: what happened when, in JSON lines, for programs that watch it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from facerefs.pipeline.storage.file_store import FileStore

LOG_FILE = "log.jsonl"
_FIRST = "build_started"
_UPLOADED_AFTER = frozenset({_FIRST, "stage_done"})


@dataclass(frozen=True)
class EventLog:
    """Appends to the log of a build. Each line has `time` (UTC, ISO 8601) and `event`, and what belongs to it.

    Object storage cannot append: the log of a remote build is written on this machine, and uploaded after each stage.
    """

    store: FileStore

    def write(self, event: str, facts: Mapping[str, object]) -> None:
        """Append an event; a reader of a local build sees the line as soon as this returns."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        path = self.store.local_path(LOG_FILE)
        if not self.store.is_local and (event == _FIRST or not path.exists()):
            path.write_text(self.store.read_text(LOG_FILE) or "", encoding="utf-8")
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=True, allow_nan=False, default=str) + "\n")
        if event in _UPLOADED_AFTER:
            self.upload()

    def upload(self) -> None:
        """Copy the log of a remote build to its storage."""
        path = self.store.local_path(LOG_FILE)
        if not self.store.is_local and path.exists():
            self.store.write_bytes(LOG_FILE, path.read_bytes())
