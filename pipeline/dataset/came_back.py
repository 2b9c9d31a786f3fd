"""Near copies that came back: dropped by `dedupe`, but analysed after all, since the faces say otherwise."""

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject


def duplicates_after_analysis(storage: Storage, columns: tuple[str, ...]) -> pa.Table:
    """The rows of `duplicates`, with `key` and `reject` among the columns: not rejected if the photo came back.

    A near copy came back if it has rows in `faces` (`facerefs.stages.analyse.Analyse.process`).
    """
    rows = storage.scan("duplicates", columns)
    back = _came_back(storage, rows)
    reject = pc.if_else(back, pa.scalar(None, pa.string()), rows["reject"])
    return rows.set_column(columns.index("reject"), "reject", reject)


def count_came_back(storage: Storage) -> int:
    """How many near copies came back."""
    return int(pc.sum(_came_back(storage, storage.scan("duplicates", ("key", "reject")))).as_py() or 0)


def _came_back(storage: Storage, rows: pa.Table) -> pa.ChunkedArray:
    near = pc.equal(rows["reject"], Reject.DUPLICATE_NEAR).fill_null(False)
    analysed = storage.scan("faces", ("key",))["key"].combine_chunks()
    return pc.and_(near, pc.is_in(rows["key"], value_set=analysed))
