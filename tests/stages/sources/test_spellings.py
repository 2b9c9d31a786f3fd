"""One label for each person, however the source spells the name."""

import pyarrow as pa

from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.spellings import Spellings

NFC, NFD = "Jos\u00e9", "Jose\u0301"


def unified(spellings: Spellings, *labels: str | None) -> list[str | None]:
    rows = pa.Table.from_pylist(
        [dict.fromkeys(SOURCES.names) | {"key": str(i), "label": label} for i, label in enumerate(labels)],
        SOURCES,
    )
    made = spellings.unified(rows)
    assert made.schema == SOURCES
    return list(made["label"].to_pylist())


def test_the_first_spelling_is_shown_in_all_tables() -> None:
    spellings = Spellings()
    assert unified(spellings, NFD, "Ann", None, NFC) == [NFD, "Ann", None, NFD]
    assert unified(spellings, "Ann\u00a0", NFC, f" {NFD}", "ann") == ["Ann", NFD, NFD, "ann"]
    assert spellings.note is not None
    assert spellings.note.startswith("2 names are written in several ways")
    assert f"{NFD} (3), Ann (2)" in spellings.note


def test_a_name_is_shown_as_it_was_written_but_for_its_margins() -> None:
    spellings = Spellings()
    written = ["\ufeffAda  Lovelace ", "\uff21\uff44\uff41", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"]
    assert unified(spellings, *written) == ["Ada  Lovelace", *written[1:]]
    assert spellings.note is None


def test_a_name_of_which_nothing_can_be_seen_is_none() -> None:
    assert unified(Spellings(), "\u200b", " ", "Ann") == [None, None, "Ann"]
