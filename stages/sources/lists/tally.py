"""Counts what a listing leaves out or guesses, for the sentences that tell the user."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

_MAX_EXAMPLE = 160  # characters


class Tally:
    """How many rows each sentence is about, with an example of each."""

    def __init__(self) -> None:
        self._rows = 0
        self._counts: dict[str, int] = {}
        self._examples: dict[str, str] = {}
        self._absent: dict[str, str] = {}  # what some photos lack -> the sentence
        self._present: set[str] = set()

    def add(self, sentence: str, example: str, count: int = 1) -> None:
        """Count rows that a sentence such as `photos are local files` is about."""
        self._counts[sentence] = self._counts.get(sentence, 0) + count
        self._examples.setdefault(sentence, example)

    def lack(self, what: str, example: str, count: int = 1) -> None:
        """Count photos that have no such thing; it is said only if another photo has one."""
        self._absent[what] = f"photos have no {what}"
        self.add(self._absent[what], example, count)

    def have(self, what: str) -> None:
        """Say that a photo has such a thing."""
        self._present.add(what)

    def has(self, what: str) -> bool:
        """Whether a photo has such a thing."""
        return what in self._present

    def compare(self, said: object, label: str | None) -> None:
        """Count a label that is not what the source says: its `nan` is no name, and its `7.0` is 7."""
        if isinstance(said, str) and said.strip() and label is None:
            self.add("labels mean that there is no name", f"`{said}`")
        elif isinstance(said, str) and label is not None and label.isdigit() and said.strip() != label:
            self.add("labels are numbers with a point, read without it", f"`{said}`, as {label}")

    def counted(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The tables as they are; counts all rows, the rejected ones and the photos without a name."""
        for table in tables:
            self._rows += len(table)
            is_rejected = pc.is_valid(table["reject"])
            for row in pc.value_counts(table["reject"].drop_null()).to_pylist():
                first = table.filter(pc.equal(table["reject"], row["values"])).slice(0, 1).to_pylist()[0]
                example = f"{first['key']}: {first['reject_detail']}"
                self.add(f"rows are rejected as {row['values']}", example, row["counts"])
            unnamed = table.filter(pc.and_not(pc.is_null(table["label"]), is_rejected))["key"]
            if len(unnamed):
                self.lack("name", unnamed[0].as_py(), len(unnamed))
            if table["label"].null_count < len(table):
                self.have("name")
            yield table

    def notes(self) -> list[str]:
        """A sentence for each count."""
        unsaid = {sentence for what, sentence in self._absent.items() if what not in self._present}
        return [
            f"{count} of {self._rows} {sentence}, such as {_short(self._examples[sentence])}"
            for sentence, count in self._counts.items()
            if sentence not in unsaid
        ]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_EXAMPLE else f"{line[:_MAX_EXAMPLE]}..."
