"""A toy stage, so that the runner is tested without faces: it measures the bytes of files."""

import hashlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import IMAGES, loaded


@dataclass(frozen=True)
class Listed:
    """The parts of `sources`."""

    storage: Storage

    def names(self) -> Sequence[str]:
        """Their names."""
        return self.storage.parts("sources")

    def read(self, name: str) -> pa.Table:
        """The columns that the stage reads."""
        return self.storage.read("sources", name, Measure.reads["sources"])


@dataclass(frozen=True)
class Measure:
    """Reads local files; rejects empty ones; keeps a copy of the others in the part's tar."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {"sources": ("key", "photo")}
    writes: ClassVar[str] = "images"
    loads: ClassVar[tuple[str, ...]] = ("photo",)
    version: ClassVar[int] = 1
    cpus: ClassVar[float] = 1
    gpus: ClassVar[float] = 0

    format: str = "toy"

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, rows: pa.Table) -> pa.Table:
        """A row of IMAGES per file."""
        if self.format == "broken":
            raise ValueError("this stage has a fault")
        out = []
        for row in rows.to_pylist():
            data = row["photo"]
            reject = "unreadable" if data is None else None if data else "empty"
            blank = dict.fromkeys(IMAGES.names)
            known = {"key": row["key"], "format": self.format, "reject": reject}
            if data:
                known |= {"id": hashlib.sha256(data).hexdigest(), "bytes": len(data), "photo": data}
            out.append(blank | known)
        return pa.Table.from_pylist(out, loaded(IMAGES))


@dataclass(frozen=True)
class Die(Measure):
    """A stage whose worker dies without an error message, as by a crash of native code."""

    def process(self, rows: pa.Table) -> pa.Table:
        """Nothing comes back."""
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Marked(Measure):
    """A stage that takes its time, and leaves a file named after its node for each part; a worker may die once."""

    marks: str = ""
    dies_at: str = ""  # the key of the file at which the first worker dies
    pause_s: float = 0.5  # long enough that a node that joins still finds work, on a busy machine too

    def process(self, rows: pa.Table) -> pa.Table:
        """As `Measure`."""
        time.sleep(self.pause_s)
        keys = rows["key"].to_pylist()
        died = Path(self.marks, "died")
        if self.dies_at in keys and not died.exists():
            died.touch()
            os._exit(1)
        Path(self.marks, f"{os.environ.get('TEST_NODE', 'none')} {keys[0]}").touch()
        return super().process(rows)
