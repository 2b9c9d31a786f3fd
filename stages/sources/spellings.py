"""Gives each person of a source one name, however often it was written otherwise."""

import pyarrow as pa

from facerefs.schemas.names import name_key, without_margins
from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.lists.key_set import KeySet

_NAMED = 3


class Spellings:
    """The spelling of each name that came first in a source; the others are replaced by it.

    Only names in an unusual spelling stay in memory, of all others 8 bytes each.
    """

    def __init__(self) -> None:
        self._seen = KeySet()
        self._first: dict[str, str] = {}  # by name_key, where the first spelling is another
        self._found: dict[str, set[str]] = {}  # by name_key: all spellings of such a name

    def unified(self, rows: pa.Table) -> pa.Table:
        """Rows of `SOURCES` with one label for each person; null for a label in which nothing can be seen."""
        labels = rows["label"].combine_chunks().dictionary_encode()
        written: list[str] = labels.dictionary.to_pylist()
        keys = [name_key(label) for label in written]
        came_before = self._seen.add(keys) if keys else ()
        names = [self._name(*one) for one in zip(written, keys, came_before, strict=True)]
        if names == written:
            return rows
        column = pa.array(names, pa.string()).take(labels.indices)
        return rows.set_column(rows.column_names.index("label"), SOURCES.field("label"), column)

    def _name(self, label: str, key: str, came_before: bool) -> str | None:
        if not key:
            return None
        if key not in self._first:
            if label == key:
                return label
            self._first[key] = key if came_before else without_margins(label)
            self._found[key] = {key} if came_before else set()
        self._found[key].add(label)
        return self._first[key]

    @property
    def note(self) -> str | None:
        """A sentence about the names that were written in several ways; None if there are none."""
        several = [key for key, spellings in self._found.items() if len(spellings) > 1]
        if not several:
            return None
        examples = ", ".join(f"{self._first[key]} ({len(self._found[key])})" for key in several[:_NAMED])
        what = "1 name is" if len(several) == 1 else f"{len(several)} names are"
        return (
            f"{what} written in several ways (blanks, invisible characters, composed letters), which count as one "
            f"person each: {examples}"
        )
