"""The first table: what the source lists, cut into parts."""

from collections.abc import Iterable

import pyarrow as pa
from rich.console import Console

from pipeline.fingerprint import rows_digest
from pipeline.partition import parts
from pipeline.progress import StageProgress
from pipeline.storage import Storage


def list_source(batches: Iterable[pa.Table], rows_per_part: int, storage: Storage, console: Console) -> None:
    """Bring the table `sources` up to date with what the source lists now; one part is in memory at a time."""
    names = set()
    with StageProgress(console, "list", 1, 0) as progress:
        for name, rows in parts(batches, rows_per_part):
            names.add(name)
            fingerprint = rows_digest(rows)
            before = storage.part("sources", name)
            if before is None or before.fingerprint != fingerprint:
                with storage.writing("sources", name, fingerprint) as part:
                    part.add(rows)
            progress.rows += len(rows)
        for stale in storage.remains("sources") - names:
            storage.remove_part("sources", stale)
        progress.part_done(0, 0)
