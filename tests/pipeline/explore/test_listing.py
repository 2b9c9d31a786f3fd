"""Lists: what is found is what a plain loop over the rows finds, and no address makes it fail."""

from contextlib import suppress

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.explore.listing.found import FoundRows
from facerefs.pipeline.explore.listing.query import NOTHING, PAGE_ROWS, ListQuery, Range, read_query
from facerefs.pipeline.explore.views.faces import FACES
from facerefs.pipeline.explore.views.view import Card, Column, View

COLUMNS = (Column("id", "Id", "text"), Column("split", "Split", "choice"), Column("yaw", "Yaw", "number"))
VIEW = View(
    "rows", "Rows", "row", "rows", "", COLUMNS, lambda _: pa.table({}), lambda row: Card(row["id"], None)
)
ROWS = st.lists(
    st.tuples(
        st.text("abAB%_", max_size=4), st.sampled_from(["train", "val", None]), st.none() | st.floats(-9, 9)
    ),
    max_size=60,
)
NAMES = st.sampled_from(
    ["q", "sort", "page", "id", "yaw", "yaw_min", "niqe_max", "reason", "split", "identity", "x"]
)


def table(rows: list[tuple[str, str | None, float | None]]) -> pa.Table:
    ids, splits, yaws = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return pa.table(
        {
            "id": pa.chunked_array([pa.array(ids, pa.string())]),
            "split": pa.array(splits, pa.string()).dictionary_encode(),
            "yaw": pa.array(yaws, pa.float32()),
        }
    )


@given(
    ROWS,
    st.text("abAB%_", max_size=2),
    st.lists(st.sampled_from(["train", "val", NOTHING]), max_size=2),
    st.sampled_from([Range(), Range(-3, None), Range(None, 2.5), Range(-2, 2)]),
    st.sampled_from([None, "yaw", "-yaw", "id", "-id"]),
)
def test_a_query_finds_what_a_loop_finds(
    rows: list[tuple[str, str | None, float | None]],
    text: str,
    splits: list[str],
    limits: Range,
    sort: str | None,
) -> None:
    query = ListQuery(
        text,
        {"split": tuple(splits)} if splits else {},
        {},
        {} if limits == Range() else {"yaw": limits},
        sort,
    )
    rounded = table(rows).to_pylist()
    fits = [row for row in rounded if text.lower() in row["id"].lower()]
    if limits != Range():
        fits = [row for row in fits if row["yaw"] is not None and _within(row["yaw"], limits)]
    chosen = [row for row in fits if not splits or (row["split"] or NOTHING) in splits]
    if sort is not None:
        name = sort.removeprefix("-")
        known = [row for row in chosen if row[name] is not None]
        known.sort(key=lambda row: row[name], reverse=sort.startswith("-"))
        chosen = known + [row for row in chosen if row[name] is None]
    found = FoundRows(VIEW, table(rows)).find(query)
    assert (found.total, found.found) == (len(rows), len(chosen))
    key = "id" if sort is None else sort.removeprefix("-")
    assert [row[key] for row in found.rows] == [row[key] for row in chosen[:PAGE_ROWS]]
    (facet,) = found.facets
    assert dict(facet.values) == {
        value: sum((row["split"] or NOTHING) == value for row in fits)
        for value in {row["split"] or NOTHING for row in fits}
    }


def _within(value: float, limits: Range) -> bool:
    return (limits.low is None or value >= limits.low) and (limits.high is None or value <= limits.high)


@given(
    st.lists(
        st.tuples(NAMES, st.text(max_size=6) | st.sampled_from(["1e999", "nan", "-yaw", "٣", "0"])),
        max_size=5,
    )
)
def test_any_address_is_understood_or_refused_in_a_sentence(given_items: list[tuple[str, str]]) -> None:
    with suppress(UserError):
        query = read_query(FACES, given_items)
        assert read_query(FACES, query.items()) == ListQuery(
            query.text, query.choices, query.names, query.ranges, query.sort
        )


def test_pages_do_not_overlap() -> None:
    rows = table([(f"{number:03}", "train", float(number % 7)) for number in range(2 * PAGE_ROWS + 5)])
    found = FoundRows(VIEW, rows)
    for sort in (None, "yaw", "-yaw"):
        pages = [found.find(ListQuery(sort=sort, page=page)) for page in range(4)]
        ids = [row["id"] for page in pages for row in page.rows]
        assert sorted(ids) == rows["id"].to_pylist()
        assert pages[0].pages == 3
        assert not pages[3].rows


def test_a_long_text_is_refused() -> None:
    with pytest.raises(UserError, match="longer than 400 characters"):
        read_query(FACES, [("q", "x" * 401)])
