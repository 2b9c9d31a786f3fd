"""Reservations of whole sites in tdmrep.json."""

import asyncio
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from facerefs.schemas.reject import Reject
from facerefs.stages.web.address import WebError, check_url
from facerefs.stages.web.client import Answer
from facerefs.stages.web.tdmrep import TdmRules


def reserved(body: object, path: str = "/photos/1.jpg", status: int = 200) -> str | None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def get(url: URL) -> Answer:
        assert str(url) == "https://host.example/.well-known/tdmrep.json"
        return Answer(url, status, CIMultiDictProxy(CIMultiDict()), data)

    return asyncio.run(TdmRules(get).reservation(check_url(f"https://host.example{path}")))


def rule(location: object, reservation: object = 1, **more: object) -> dict[str, object]:
    return {"location": location, "tdm-reservation": reservation, **more}


SPECIFICATION = [  # its own example
    rule("/directory-a/"),
    rule("/directory-b/html/", **{"tdm-policy": "https://provider.com/policies/policy.json"}),
    rule("/directory-b/images/*.jpg", 0),
]


@pytest.mark.parametrize(
    ("path", "statement"),
    [
        ("/directory-a/x.pdf", "tdmrep.json: /directory-a/ reserved"),
        (
            "/directory-b/html/x",
            "tdmrep.json: /directory-b/html/ reserved, policy https://provider.com/policies/policy.json",
        ),
        ("/directory-b/images/x.jpg", None),
        ("/other", None),
    ],
)
def test_the_example_of_the_specification(path: str, statement: str | None) -> None:
    assert reserved(SPECIFICATION, path) == statement


@pytest.mark.parametrize(
    ("location", "path", "matches"),
    [
        ("/", "/a", True),
        ("*", "/a", True),
        ("/A", "/a", False),
        ("/this/path/exactly$", "/this/path/exactly", True),
        ("/this/path/exactly$", "/this/path/exactly/not", False),
        ("/this/*/then", "/this/and/then/more", True),
        ("/this/*/then$", "/this/and/then/more", False),
        ("/a*b*c$", "/abcbc", True),
        ("/a*bc*c$", "/abc", False),
        ("/path/foo-%24", "/path/foo-$", True),
        ("/caf%C3%A9", "/café", True),
        ("/a%2fb", "/a/b", False),
        ("/%7ejoe", "/~joe", True),
        ("/*?w=1", "/a?w=1", True),
        ("photos/", "/photos/1", True),
        ("https://host.example/photos/", "/photos/1", True),
    ],
)
def test_locations_are_patterns(location: str, path: str, matches: bool) -> None:
    assert (reserved([rule(location)], path) is not None) == matches


def test_the_first_match_counts() -> None:
    assert reserved([rule("/photos/", 0), rule("/")]) is None
    assert reserved([rule("/"), rule("/photos/", 0)]) is not None
    assert reserved([rule("/photos/", "perhaps"), rule("/")]) is None


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"<html>",
            b"\xff\xfe\0",
            b"null",
            b"1",
            b'"x"',
            b"[" * 100_000,
            b"[1, null, [], {}]",
            b"1" * 5000,
        ),
        *(json.dumps(it).encode() for it in (rule("/"), [rule(None)], [rule(" ")], [rule("/", [[[]]])])),
        b" " * (512 << 10) + b'[{"location": "/", "tdm-reservation": 1}]',
    ],
)
def test_what_is_malformed_reserves_nothing(body: bytes) -> None:
    assert reserved(body) is None


@pytest.mark.parametrize("status", [204, 403, 404, 429, 500])
def test_other_answers_reserve_nothing(status: int) -> None:
    assert reserved([rule("/")], status=status) is None


def test_without_an_answer_it_is_asked_again_after_a_minute() -> None:
    now, asked = [0.0], []

    async def fail(url: URL) -> Answer:
        asked.append(url)
        raise WebError(Reject.TIMEOUT, "why")

    async def ask() -> None:
        rules = TdmRules(fail, clock=lambda: now[0])
        for now[0] in (0.0, 59.0, 61.0):
            assert await rules.reservation(URL("http://host.example/a")) is None

    asyncio.run(ask())
    assert len(asked) == 2


def test_a_statement_can_be_stored() -> None:
    statement = reserved(
        [rule("/\ud800*\n" + "x" * 5000 + "*"), rule("*\0", **{"tdm-policy": "\udcff" * 999})]
    )
    assert statement is None or statement.isprintable()
    assert (
        reserved([rule("/", **{"tdm-policy": "\udcff\n" * 999})], "/a")
        == (("tdmrep.json: / reserved, policy " + "?" * 999)[:300])
    )


def test_hostile_rules_do_not_stall() -> None:
    many = [rule("/" + "*a" * 200 + "b", 1)] * 100_000
    body = json.dumps(many[: (500 << 10) // 450]).encode()
    start = time.process_time()
    assert reserved(body, "/" + "a" * 8000) is None
    assert time.process_time() - start < 1.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["location", "tdm-reservation", "tdm-policy"]), inner, max_size=3)
    ),
)


@given(JSON)
def test_any_json_gives_an_answer(body: object) -> None:
    statement = reserved(body)
    assert statement is None or statement.isprintable()
