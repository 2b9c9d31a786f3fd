"""The journal holds every complete entry, wherever a kill cut it off."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from facerefs.pipeline.storage.journals.journal import Journal

ENTRIES = st.lists(st.tuples(st.dictionaries(st.text(), st.text() | st.none()), st.binary()), max_size=5)


def content(journal: Journal) -> list[tuple[dict[str, str | None], bytes]]:
    entries = journal.entries()
    with journal.opened() as read:
        return [(entry.record, read(entry)) for entry in entries]


def write(journal: Journal, entries: list[tuple[dict[str, str | None], bytes]]) -> None:
    for record, data in entries:
        entry = journal.append(record, data)
        with journal.opened() as read:
            assert read(entry) == data


@given(ENTRIES, st.data())
def test_a_cut_journal_holds_its_complete_entries_and_is_continued_after_them(
    entries: list[tuple[dict[str, str | None], bytes]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "downloads" / "part-a.journal")
        assert content(journal) == []
        sizes = [0]
        for entry in entries:
            write(journal, [entry])
            sizes.append(journal.path.stat().st_size)
        cut = data.draw(st.integers(0, sizes[-1]))
        if entries:
            with journal.path.open("r+b") as file:
                file.truncate(cut)
        journal = Journal(journal.path)  # as after a kill: the process that wrote it has ended
        whole = sum(size <= cut for size in sizes) - 1 if entries else 0
        assert content(journal) == entries[:whole]
        write(journal, entries[whole:])
        assert content(journal) == entries


def test_a_removed_journal_is_empty(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "part-a.journal")
    journal.append({"key": "a"}, b"abc")
    journal.remove()
    journal.remove()
    assert journal.entries() == []
