"""Opt-outs in the headers of an answer."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from facerefs.stages.web.optout import opt_out_statement


def stated(*headers: tuple[str, str]) -> str | None:
    return opt_out_statement(CIMultiDictProxy(CIMultiDict(headers)))


@pytest.mark.parametrize(
    ("value", "directive"),
    [
        ("noai", "noai"),
        ("NoAI, noimageai", "noai"),
        ("nofollow,noimageindex", "noimageindex"),
        ("none", "none"),
        ("all", None),
        ("", None),
        ("noarchive, nosnippet, max-image-preview: none", None),
        ("max-snippet: 0, noindex", "noindex"),
        ("noaix, xnoai", None),
        ("nofollow noai; noarchive", "noai"),
        ("googlebot: noindex", None),
        ("googlebot: noindex, noai", None),
        ("360spider: noindex, noai", None),
        ("FaceRefs: noai", "noai"),
        ("*: noai", "noai"),
        ("googlebot: nofollow, facerefs: noindex", "noindex"),
        ("noai, googlebot: all", "noai"),
        ("googlebot: unavailable_after: 1 Jan 2030 10:00:00 GMT, noai", None),
        ("unavailable_after: Saturday, 25-Jun-50 15:00:00 PST", None),
        ("unavailable_after: Sat, 25 Jun 2050 15:00:00 PST, noai", "noai"),
        ("unavailable_after: 2050-06-25T15:00:00Z, 2050-06-25T15:00:00Z, 15:00:00, noai", "noai"),
    ],
)
def test_x_robots_tag(value: str, directive: str | None) -> None:
    assert stated(("x-robots-tag", value)) == (directive and f"X-Robots-Tag: {directive}")


def test_all_headers_of_a_name_count() -> None:
    headers = [("X-Robots-Tag", "googlebot: noindex"), ("X-Robots-Tag", "nofollow"), ("X-Robots-Tag", "noai")]
    assert stated(*headers) == "X-Robots-Tag: noai"


@pytest.mark.parametrize(
    ("headers", "statement"),
    [
        ([("TDM-Reservation", "1")], "tdm-reservation: 1"),
        (
            [("tdm-reservation", " 1 "), ("tdm-policy", "https://h/p")],
            "tdm-reservation: 1, tdm-policy: https://h/p",
        ),
        ([("tdm-reservation", "0"), ("tdm-policy", "https://h/p")], None),
        ([("tdm-reservation", "yes")], None),
        ([("tdm-policy", "https://h/p")], None),
    ],
)
def test_tdm_reservation(headers: list[tuple[str, str]], statement: str | None) -> None:
    assert stated(*headers) == statement


def test_a_statement_can_be_stored() -> None:
    statement = stated(("tdm-reservation", "1"), ("tdm-policy", "\udcff\0\n" + "x" * 10_000))
    assert statement is not None
    assert statement.isprintable()
    assert len(statement.encode()) <= 300


DIRECTIVES = st.sampled_from(
    ["noai", "noindex", "none", "all", "max-snippet", "12:00:00", "25-Jun-50", "\udcff"]
)
WORDS = DIRECTIVES | st.sampled_from(
    ["googlebot", "facerefs", "unavailable_after", "*", ":", ",", ";", " ", "\t"]
)
VALUES = st.text(max_size=40) | st.lists(WORDS, max_size=20).map("".join)
NAMES = st.sampled_from(["X-Robots-Tag", "tdm-reservation", "tdm-policy", "X-Other"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_no_header_raises(headers: list[tuple[str, str]]) -> None:
    statement = stated(*headers)
    assert statement is None or statement.isprintable()


@pytest.mark.parametrize("piece", ["a:", "1", "a", " ", ",", "noa,", "unavailable_after:", "1a", "*:"])
def test_long_values_take_no_time(piece: str) -> None:
    start = time.process_time()
    for _ in range(5):
        assert stated(("X-Robots-Tag", piece * 30_000)) is None
    assert time.process_time() - start < 0.5
