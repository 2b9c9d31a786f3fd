"""Openverse as a source, against a replica of its API."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pyarrow as pa
import pytest

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.services.api import Api
from facerefs.stages.sources.services.openverse import OpenverseSettings, OpenverseSource, open_openverse
from facerefs.stages.sources.source import SourceError
from tests.api_replicas import Replica, World, jpeg
from tests.api_replicas.world import OPENVERSE_LICENCES
from tests.stages.sources.test_api import LIMITS, Clock

Row = dict[str, Any]


@pytest.fixture
def replica() -> Iterator[Replica]:
    with Replica(World()) as replica:
        yield replica
        assert replica.violations == []


def add(world: World, name: str, count: int, **about: Any) -> None:
    for number in range(count):
        code, version, url = OPENVERSE_LICENCES[number % len(OPENVERSE_LICENCES)]
        terms = {"license": code, "license_version": version, "license_url": url}
        world.add_result(name, **{"id": f"{name[:3]}{number}", "title": f"{name} {number}", **terms, **about})


def opened(replica: Replica, text: str, clock: Clock | None = None, **settings: Any) -> OpenverseSource:
    source = open_openverse(text, OpenverseSettings(api=replica.openverse_api, **settings), LIMITS)
    clock = clock or Clock()
    return replace(source, connect=lambda: Api(LIMITS, sleep=clock.sleep, clock=clock.time))


def rows_of(source: OpenverseSource) -> list[Row]:
    tables = list(source.rows())
    assert all(table.schema == SOURCES for table in tables)
    rows: list[Row] = pa.concat_tables(tables).to_pylist()
    assert len({row["key"] for row in rows}) == len(rows)
    return rows


def test_another_api_is_reported_without_the_secrets_of_its_address(replica: Replica) -> None:
    source = opened(replica, "Ada")
    other = replace(source.settings, api=f"{replica.commons_api}?key=SECRET&x=")
    with pytest.raises(SourceError, match="does not answer as Openverse does") as caught:
        rows_of(replace(source, settings=other))
    assert "SECRET" not in str(caught.value)
    replica.violations.clear()  # it was a wiki that was asked


def test_a_photo_with_its_licence_and_author(replica: Replica) -> None:
    add(replica.world, "Ada Lovelace", 1, data=jpeg(1))
    source = opened(replica, " Ada  Lovelace ")
    (row,) = rows_of(source)
    assert source.service_query
    assert source.name == "openverse:Ada  Lovelace"
    assert row["label"] == "Ada Lovelace"
    assert row["key"] == f"Ada Lovelace/{row['url']}"
    assert row["page"] == f"{replica.url}/photo/Ada0"
    assert row["licence"] == "CC BY-SA 4.0 https://creativecommons.org/licenses/by-sa/4.0/"
    assert row["attribution"].startswith('"Ada Lovelace 0" by Jo Doe is licensed under BY-SA 4.0.')
    assert row["reject"] is None
    provenance = json.loads(row["provenance"])
    assert provenance["query"] == "Ada Lovelace"
    assert provenance["creator"] == "Jo Doe"
    assert provenance["license_version"] == "4.0"
    assert urlopen(row["url"]).read() == jpeg(1)
    assert replica.requests[0]["q"] == '"Ada Lovelace"'
    assert replica.requests[0]["license"] == "by,by-sa,cc0,pdm"


def test_all_pages_in_the_order_of_the_api(replica: Replica) -> None:
    add(replica.world, "Ada", 53)
    rows = rows_of(opened(replica, "Ada"))
    assert [json.loads(row["provenance"])["id"] for row in rows] == [f"Ada{n}" for n in range(53)]
    assert [request["page"] for request in replica.requests] == ["1", "2", "3"]


def test_says_where_anonymous_use_ends(replica: Replica) -> None:
    add(replica.world, "Ada", 300)
    source = opened(replica, "Ada")
    assert len(rows_of(source)) == 240
    assert source.notes == ["Openverse gives 240 results for Ada and no more: it may have others"]
    assert len(replica.requests) == 12


def test_stays_slow_and_waits_where_it_is_asked_to(replica: Replica) -> None:
    add(replica.world, "Ada", 41)
    replica.faults += ["429", "503"]
    clock = Clock()
    assert len(rows_of(opened(replica, "Ada", clock))) == 41
    assert clock.waits[0] == 11.0
    assert len(clock.waits) >= 4


def test_other_licences_are_rejected(replica: Replica) -> None:
    add(replica.world, "Ada", 1)
    add(replica.world, "Ada", 1, id="x", license="by-nc", license_version="2.0", stray=True)
    good, bad = rows_of(opened(replica, "Ada"))
    assert good["reject"] is None
    assert bad["reject"] == Reject.BAD_LICENCE
    assert bad["reject_detail"].startswith("CC BY-NC 2.0 ")


@pytest.mark.parametrize("changed", [{"url": None}, {"url": ""}, {"url": 7}])
def test_a_result_without_an_address_is_rejected(replica: Replica, changed: Row) -> None:
    add(replica.world, "Ada", 1, changed=changed)
    (row,) = rows_of(opened(replica, "Ada"))
    assert (row["url"], row["reject"]) == (None, Reject.BAD_ROW)


def test_what_strangers_wrote_becomes_text(replica: Replica) -> None:
    changed = {
        "title": "half a pair \ud800",
        "attribution": "by \udfff" + "x" * 5000,
        "license_url": 3,
        "tags": None,
    }
    add(replica.world, "Ada", 1, changed=changed)
    (row,) = rows_of(opened(replica, "Ada"))
    assert json.loads(row["provenance"])["title"] == "half a pair ?"
    assert row["attribution"] == "by ?" + "x" * 996
    assert row["licence"] == "CC BY-SA 4.0"


def test_takes_no_more_photos_than_wanted(replica: Replica) -> None:
    add(replica.world, "Ada", 50)
    add(replica.world, "Grace", 50)
    rows = rows_of(opened(replica, "Ada; Grace", max_photos=7))
    assert [row["label"] for row in rows] == ["Ada"] * 7 + ["Grace"] * 7
    assert len(replica.requests) == 2


def test_names_of_a_file_with_labels(replica: Replica, tmp_path: Path) -> None:
    for name in ("Ada Lovelace", "Ada King"):
        add(replica.world, name, 2)
    add(replica.world, "Ada Byron", 1, id="Ada0", title="found twice")
    people = tmp_path / "people.txt"
    people.write_text("Ada Lovelace\tAda\nAda Byron\tAda\n\nAda King\n")
    source = opened(replica, f"@{people}")
    rows = rows_of(source)
    assert [row["label"] for row in rows] == ["Ada", "Ada", "Ada King", "Ada King"]


def test_people_without_results_are_reported(replica: Replica) -> None:
    add(replica.world, "Ada", 1)
    source = opened(replica, "Ada; Nobody")
    rows_of(source)
    assert source.notes == ["Openverse finds no photo of Nobody"]
    with pytest.raises(SourceError, match="finds no photo for openverse:Nobody"):
        rows_of(opened(replica, "Nobody"))


def test_a_refusal_says_what_to_do(replica: Replica) -> None:
    source = open_openverse("Ada", OpenverseSettings(api=replica.openverse_api), LIMITS)
    replica.faults += ["401"]
    with pytest.raises(SourceError, match=r"HTTP 401\): it wants a key .*openverse\.max_photos"):
        list(source.rows())


@pytest.mark.parametrize("fault", ["garbage", "list", "fault"])
def test_what_is_not_openverse(replica: Replica, fault: str) -> None:
    replica.faults += [fault]
    with pytest.raises(SourceError, match=r"is .* address"):
        rows_of(opened(replica, "Ada"))


@pytest.mark.parametrize(
    ("text", "settings", "sentence"),
    [
        ("", OpenverseSettings(), "wants a name"),
        (" ; ", OpenverseSettings(), "wants a name"),
        ("@nowhere.txt", OpenverseSettings(), "cannot read nowhere.txt"),
        ("x" * 199, OpenverseSettings(), "longer than Openverse's 200 characters"),
        ("Ada", OpenverseSettings(licences="by,cc9"), "should hold codes of by, by-sa"),
        ("Ada", OpenverseSettings(licences=" "), "should hold codes of by, by-sa"),
        (
            ";".join(f"Person {n}" for n in range(17)),
            OpenverseSettings(),
            "17 names of up to 12 pages .* 200 requests a day",
        ),
    ],
)
def test_what_cannot_be_asked(text: str, settings: OpenverseSettings, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        open_openverse(text, settings, LIMITS)


def test_fewer_photos_of_more_people_fit_into_a_day() -> None:
    names = ";".join(f"Person {n}" for n in range(100))
    assert len(open_openverse(names, OpenverseSettings(max_photos=40), LIMITS).wanted) == 100
