"""Tombstones name nobody, and recognise what was removed."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.pipeline.errors import RunError
from facerefs.pipeline.removal.tombstones import TOMBSTONES_FILE, Tombstones
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import SOURCES

PHOTO = {
    "key": "Ada Lovelace/1.jpg",
    "url": "https://pictures.example.org/ada.jpg",
    "id": "ab" * 32,
    "phash": 2**63 + 5,
    "phash_mirror": 7,
    "detail_hash": bytes(range(32)),
}
REMOVED = (
    Tombstones.new()
    .with_photos([PHOTO])
    .with_person("Ada  Lovelace")
    .with_host("Example.com.")
    .with_url("https://c.example/page")
)


def listed(**columns: str) -> bool:
    (found,) = REMOVED.listed(
        pa.Table.from_pylist([dict.fromkeys(SOURCES.names) | {"key": "other"} | columns], SOURCES)
    )
    return found


@pytest.mark.parametrize(
    "columns",
    [
        {"key": "Ada Lovelace/1.jpg"},
        {"url": "https://pictures.example.org/ada.jpg"},
        {"url": "http://deep.within.EXAMPLE.com:8080/x.jpg"},
        {"url": "https://cdn.example/1.jpg", "page": "https://c.example/page"},
        {"url": "https://cdn.example/1.jpg", "page": "https://example.com/a"},
        {"label": " Ada\u00a0Lovelace"},
    ],
)
def test_what_was_removed_is_recognised(columns: dict[str, str]) -> None:
    assert listed(**columns)


@pytest.mark.parametrize(
    "columns",
    [
        {"key": "Ada Lovelace/2.jpg"},
        {"url": "https://pictures.example.org/ada.jpg?other"},
        {"url": "https://notexample.com/x.jpg"},
        {"url": "https://example.com.evil.org/x.jpg"},
        {"url": "http://[not an address/x.jpg"},
        {"label": "Ada Byron"},
    ],
)
def test_what_was_not_removed_may_stay(columns: dict[str, str]) -> None:
    assert not listed(**columns)


def test_the_file_names_nobody_and_is_read_back(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assert Tombstones.of(storage) is None
    REMOVED.write(storage)
    text = (tmp_path / TOMBSTONES_FILE).read_text()
    for trace in ("Ada", "Lovelace", "example", "ab" * 32):
        assert trace not in text
    assert Tombstones.of(storage) == REMOVED
    expected = [2**63 + 5, 7, *np.frombuffer(bytes(range(32)), "<u8")]
    assert REMOVED.photo_hashes().tolist() == [expected]
    assert REMOVED.has_bytes("ab" * 32)
    assert not REMOVED.has_bytes(None)


def test_two_builds_have_different_hashes_of_one_name() -> None:
    one, other = Tombstones.new(), Tombstones.new()
    assert one.digest("person", "Ada") != other.digest("person", "Ada")
    assert one.digest("person", "Ada") != one.digest("key", "Ada")


@given(
    st.binary(max_size=60)
    | st.sampled_from([b"{}", b"[]", b'{"version": 1, "salt": "xx"}', b'{"version": 2}'])
)
def test_a_damaged_file_is_one_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("build")
    (folder / TOMBSTONES_FILE).write_bytes(data)
    with pytest.raises(RunError, match=r"removed\.json is damaged .* put it back from a copy$"):
        Tombstones.of(Storage(str(folder)))
