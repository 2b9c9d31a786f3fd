"""The journals of the unfinished parts of `downloads`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facerefs.pipeline.storage.blobs import blob_folder
from facerefs.pipeline.storage.file_store import FileStore
from facerefs.pipeline.storage.journals.journal import Journal, JournalEntry
from facerefs.pipeline.storage.journals.journal_copies import JournalCopies, journal_copies

_ENDING = ".journal"


def part_journals(store: FileStore) -> "PartJournals":
    """The journals of a build."""
    folder = blob_folder("downloads")
    return PartJournals(store.local_path(folder), journal_copies(store, folder))


@dataclass(frozen=True)
class PartJournals:
    """The journals of the parts of a table, in a local folder; of a remote build also as copies in its storage."""

    folder: Path
    copies: JournalCopies | None = None

    def journal(self, part: str) -> Journal:
        """The journal of a part."""
        path = self.folder / f"{part}{_ENDING}"
        if self.copies is not None:
            self.copies.fetch(path)
        return Journal(path, self.copies)

    def rows(self, part: str) -> Iterator[tuple[JournalEntry, dict[str, Any]]]:
        """The entries of a part's journal, each also as a row of the table, whose photo lies in the journal."""
        journal = self.journal(part)
        for entry in journal.entries():
            has_photo = entry.record["reject"] is None
            place = {"path": str(journal.path), "offset": entry.offset, "length": entry.length}
            yield entry, entry.record | {"photo": place if has_photo else None}

    def parts(self) -> set[str]:
        """The names of the parts that have a journal: those that an interrupted run was writing."""
        here = {path.name for path in self.folder.glob(f"*{_ENDING}")}
        there = set() if self.copies is None else self.copies.names()
        return {name.removesuffix(_ENDING) for name in here | there}

    def remove_all(self) -> None:
        """Remove all journals."""
        for part in self.parts():
            Journal(self.folder / f"{part}{_ENDING}", self.copies).remove()
