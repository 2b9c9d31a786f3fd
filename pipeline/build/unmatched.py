"""Lines of `overrides.csv` that are about nothing in the build: photos come and go, so they are told, not refused."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from facerefs.pipeline.build.overrides import FILE, lines_named
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import shown

_TOLD = 20
_KNOWN = {
    "sources": ("label",),
    "images": ("key", "id"),
    "faces": ("id",),
    "identities": ("identity",),
}
"""The columns that hold what a line may be about."""


def warn(storage: Storage, console: Console) -> None:
    """Tell the lines that are about no face, photo, label or identity of the build, the first ones in full."""
    lines = list(_unmatched(storage))
    for line in lines[:_TOLD]:
        console.print(f"warning     {line}", highlight=False)
    if len(lines) > _TOLD:
        console.print(f"warning     and {len(lines) - _TOLD} more lines of {FILE}", highlight=False)


def _unmatched(storage: Storage) -> Iterator[str]:
    rows = storage.scan("overrides")
    if not len(rows):
        return
    named = pa.chunked_array([*rows["what"].chunks, *rows["other"].chunks]).drop_null()
    found = {text for table, columns in _KNOWN.items() for text in _present(storage, table, columns, named)}
    # A person found without a name has it no more once it is made another's: such a line has decided something.
    heeded = lines_named(storage.scan("identities", ("why",))["why"])
    for row in rows.to_pylist():
        missing = [text for text in (row["what"], row["other"]) if text is not None and text not in found]
        if missing and row["line"] not in heeded:
            what = " and ".join(repr(shown(text)) for text in missing)
            yield f"{FILE}, line {row['line']}: no face, photo, label or identity is {what}: the line does nothing"


def _present(storage: Storage, table: str, columns: tuple[str, ...], named: pa.ChunkedArray) -> Iterator[str]:
    for name in storage.parts(table):
        part = storage.read(table, name, columns)
        for column in columns:
            values = pc.unique(part[column])
            yield from values.filter(pc.is_in(values, value_set=named.combine_chunks())).to_pylist()
