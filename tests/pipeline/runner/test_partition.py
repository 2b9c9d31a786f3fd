"""Splitting a source into parts: no row is lost, parts are bounded, and a new photo changes few parts."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from facerefs.pipeline.runner.partition import MAX_PART_BYTES, PARTS_BEFORE_GROWTH, split_into_parts
from facerefs.schemas.tables import SOURCES, loaded

KEYS = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=200)


def table(keys: list[str]) -> pa.Table:
    return pa.Table.from_pylist([dict.fromkeys(SOURCES.names) | {"key": key} for key in keys], SOURCES)


def cut(keys: list[str], rows_per_part: int) -> dict[str, list[str]]:
    return {
        name: rows.column("key").to_pylist() for name, rows in split_into_parts([table(keys)], rows_per_part)
    }


@given(KEYS, st.integers(1, 20), st.integers(1, 30))
def test_every_row_is_in_one_part_whatever_the_batches(
    keys: list[str], rows_per_part: int, batch: int
) -> None:
    whole = cut(keys, rows_per_part)
    assert [key for part in whole.values() for key in part] == keys
    assert all(len(part) <= 2 * rows_per_part for part in whole.values())
    assert all(2 * len(part) >= rows_per_part for part in list(whole.values())[:-1])
    batches = [table(keys[start : start + batch]) for start in range(0, len(keys), batch)]
    in_batches = {
        name: rows.column("key").to_pylist() for name, rows in split_into_parts(batches, rows_per_part)
    }
    assert in_batches == whole


def test_a_new_photo_changes_one_part_of_many() -> None:
    keys = [f"person-{i // 10:03d}/{i % 10}.jpg" for i in range(2000)]
    before = cut(keys, 32)
    after = cut(sorted([*keys, "person-100/new.jpg"]), 32)
    assert len(before) > 40
    assert len(before.keys() - after.keys()) <= 2


def test_parts_of_a_long_list_grow() -> None:
    rows = 20 * PARTS_BEFORE_GROWTH
    sizes = [len(part) for part in cut([f"https://a.example/{i}.jpg" for i in range(rows)], 2).values()]
    assert sum(sizes) == rows
    assert max(sizes[: PARTS_BEFORE_GROWTH // 2]) <= 4
    assert sum(sizes[-100:]) > 100 * 2 * 3
    assert len(sizes) < 5 * PARTS_BEFORE_GROWTH


def test_photos_that_come_with_their_rows_bound_a_part() -> None:
    rows = [{"key": f"{i}.jpg", "photo": bytes(MAX_PART_BYTES // 4)} for i in range(10)]
    batch = pa.Table.from_pylist(rows, loaded(SOURCES))
    assert [len(part) for _, part in split_into_parts([batch], 32)] == [4, 4, 2]
