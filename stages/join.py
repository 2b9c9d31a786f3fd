"""Join two tables by a key."""

import pyarrow as pa
import pyarrow.compute as pc


def left_join(rows: pa.Table, key: str, other: pa.Table, other_key: str) -> pa.Table:
    """All `rows`, in their order, with the other columns of `other`; null where `other` does not have the key.

    The keys of `other` are unique. (pyarrow's own join does not keep the order, and refuses columns of lists.)
    """
    at = pc.index_in(rows[key], value_set=other[other_key].combine_chunks())
    found = other.drop_columns([other_key]).take(at)
    for name in found.column_names:
        rows = rows.append_column(name, found[name])
    return rows
