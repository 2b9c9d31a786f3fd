"""The log of a build: what happened when, in JSON lines, for programs that watch it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

LOG_FILE = "log.jsonl"


@dataclass(frozen=True)
class EventLog:
    """Appends to the log at a path. Each line has `time` (UTC, ISO 8601) and `event`, and what belongs to it."""

    path: Path

    def write(self, event: str, facts: Mapping[str, object]) -> None:
        """Append an event; a reader sees the line as soon as this returns."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=True, allow_nan=False, default=str) + "\n")
