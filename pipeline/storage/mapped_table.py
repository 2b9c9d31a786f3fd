"""A table that is too large for the memory of every worker, in a memory-mapped temporary file."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.storage.file_store import TEMPORARY_PREFIX


def mapped_rows(tables: Iterable[pa.Table], schema: pa.Schema, folder: Path) -> pa.Table:
    """The rows of all `tables`, in a file in `folder` whose space is freed with them; one table at a time is in RAM."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=TEMPORARY_PREFIX) as file:
        with pa.ipc.new_file(file, schema) as writer:
            for table in tables:
                writer.write_table(table.combine_chunks())
        file.flush()
        return pa.ipc.open_file(pa.memory_map(file.name)).read_all()


@dataclass(frozen=True)
class MappedTable:
    """Rows found by their key. The file is memory-mapped: the system loads the pages in use, and can drop them."""

    schema: pa.Schema
    batches: list[pa.RecordBatch]
    keys: pa.Array  # of all rows, in memory

    @classmethod
    def of(cls, tables: Iterable[pa.Table], schema: pa.Schema, key: str, folder: Path) -> "MappedTable":
        """A mapped table of the rows of `tables`, in a file in `folder` whose space is freed with the object."""
        batches = mapped_rows(tables, schema, folder).to_batches()
        keys = [batch.column(key) for batch in batches] or [pa.array([], schema.field(key).type)]
        return cls(schema, batches, pa.concat_arrays(keys))

    def rows(self, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The rows with these keys, in no particular order. Raises KeyError if a key has no row."""
        names = pa.array(sorted(set(keys)), pa.string())
        # Ten times as fast as an index of all keys, which would be hashed in each call.
        wanted = np.flatnonzero(pc.is_in(self.keys, value_set=names).to_numpy(zero_copy_only=False))
        if pc.count_distinct(self.keys.take(pa.array(wanted))).as_py() < len(names):
            raise KeyError("a row that is referred to is not there")
        start = 0
        for batch in self.batches:
            low, high = np.searchsorted(wanted, (start, start + len(batch)))
            if low < high:
                yield from batch.take(pa.array(wanted[low:high] - start)).to_pylist()
            start += len(batch)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column of all rows, in the order of `keys`."""
        return pa.chunked_array([batch.column(name) for batch in self.batches], self.schema.field(name).type)
