"""Counts what a listing leaves out or guesses, for the sentences that tell the user."""

from collections.abc import Iterable, Iterator

from facerefs.stages.sources.lists.list_rows import Row

_MAX_EXAMPLE = 160  # characters


class Tally:
    """How many rows each sentence is about, with an example of each."""

    def __init__(self) -> None:
        self._rows = 0
        self._counts: dict[str, int] = {}
        self._examples: dict[str, str] = {}
        self._absent: dict[str, str] = {}  # what some photos lack -> the sentence
        self._present: set[str] = set()

    def add(self, sentence: str, example: str) -> None:
        """Count a row that a sentence such as `rows are rejected` is about."""
        self._counts[sentence] = self._counts.get(sentence, 0) + 1
        self._examples.setdefault(sentence, example)

    def lack(self, what: str, example: str) -> None:
        """Count a photo that has no such thing; it is said only if another photo has one."""
        self._absent[what] = f"photos have no {what}"
        self.add(self._absent[what], example)

    def have(self, what: str) -> None:
        """Say that a photo has such a thing."""
        self._present.add(what)

    def has(self, what: str) -> bool:
        """Whether a photo has such a thing."""
        return what in self._present

    def counted(self, rows: Iterable[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
        """The rows with their places, as they are; counts all, the rejected ones and those without a name."""
        for place, row in rows:
            self._rows += 1
            if row.get("reject") is not None:
                self.add("rows are rejected", f"{place}: {row['reject_detail']}")
            elif row.get("label") is None:
                self.lack("name", row["key"])
            else:
                self.have("name")
            yield place, row

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
