"""Wikimedia Commons as a source, against a replica of its API that watches our manners."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.services.api import Api
from facerefs.stages.sources.services.commons import CommonsSettings, CommonsSource, open_commons
from facerefs.stages.sources.services.commons_file import is_licence_wanted
from facerefs.stages.sources.services.plain_text import plain_text
from facerefs.stages.sources.source import SourceError
from tests.api_replicas import File, Replica, World, jpeg
from tests.api_replicas.world import described
from tests.stages.sources.test_api import LIMITS, Clock

Row = dict[str, Any]
ADA = "Ada Lovelace (Q7259)"


@pytest.fixture
def replica() -> Iterator[Replica]:
    with Replica(World(names={"Q7259": {"en": "Ada Lovelace", "de": "Ada"}})) as replica:
        yield replica
        assert replica.violations == []
        assert replica.faults == []


def add(world: World, count: int, *items: str, name: str = "Ada", **about: Any) -> list[File]:
    """More files, whose names and page ids fall as they come later: the order shows by what they are sorted."""
    start = 1000 + len(world.files)
    return [
        world.add(
            File(
                9999 - n, f"{name} {9999 - n}.jpg", **{"data": b"", "metadata": described(n, "Jane"), **about}
            ),
            *items,
        )
        for n in range(start, start + count)
    ]


def opened(replica: Replica, text: str, clock: Clock | None = None, **settings: Any) -> CommonsSource:
    wanted = CommonsSettings(api=replica.commons_api, wikidata_api=replica.wikidata_api, **settings)
    source = open_commons(text, wanted, LIMITS)
    clock = clock or Clock()
    return replace(source, connect=lambda: Api(LIMITS, sleep=clock.sleep, clock=clock.time))


def rows_of(source: CommonsSource) -> list[Row]:
    tables = list(source.rows())
    assert all(table.schema == SOURCES for table in tables)
    rows: list[Row] = pa.concat_tables(tables).to_pylist()
    assert len({row["key"] for row in rows}) == len(rows)
    return rows


def titles(rows: Sequence[Row]) -> list[str]:
    return [json.loads(row["provenance"])["title"] for row in rows]


def accepted(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["reject"] is None]


def test_a_photo_with_its_author_licence_and_page(replica: Replica) -> None:
    (file,) = add(replica.world, 1, "Q7259", data=jpeg(1))
    source = opened(replica, "Q7259")
    (row,) = rows_of(source)
    assert source.service_query
    assert source.name == "commons:Q7259"
    assert row["label"] == ADA
    assert row["url"] == f"{replica.url}/wikipedia/commons/Ada_8999.jpg"  # without the utm_ parameters
    assert row["key"] == f"{ADA}/{row['url']}"
    assert row["page"] == f"{replica.url}/wiki/File:Ada_8999.jpg"
    assert row["licence"] == "CC BY-SA 4.0 https://creativecommons.org/licenses/by-sa/4.0"
    assert row["attribution"] == "Jane & Co"
    assert (row["reject"], row["sha256"], row["photo"]) == (None, None, None)
    provenance = json.loads(row["provenance"])
    assert provenance["depicts"] == "Q7259"
    assert provenance["pageid"] == file.pageid
    assert provenance["mime"] == "image/jpeg"
    assert provenance["user"] == "Uploader"
    assert provenance["timestamp"] == "2020-01-01T00:00:00Z"
    assert len(provenance["sha1"]) == 40
    assert provenance["size"] == len(file.data)
    assert provenance["attribution_required"] == "true"
    assert provenance["description"] == "Number 1000 in a garden"
    assert urlopen(row["url"]).read() == file.data


def test_restrictions_and_asked_attribution_are_kept(replica: Replica) -> None:
    metadata = {
        "Artist": "Jane",
        "Attribution": "Photo: <b>Jane</b> / Museum",
        "Restrictions": "personality|insignia",
    }
    add(replica.world, 1, "Q7259", metadata=metadata)
    (row,) = rows_of(opened(replica, "Q7259"))
    assert row["attribution"] == "Photo: Jane / Museum"
    assert row["licence"] is None
    assert json.loads(row["provenance"])["restrictions"] == "personality|insignia"


@pytest.mark.parametrize("infos_per_answer", [50, 20, 1])
def test_every_photo_once_in_the_order_of_the_search(replica: Replica, infos_per_answer: int) -> None:
    files = add(replica.world, 120, "Q7259")
    replica.commons.infos_per_answer = infos_per_answer
    rows = rows_of(opened(replica, "Q7259"))
    assert titles(rows) == [file.title for file in files]
    assert all(row["url"] and row["licence"] for row in rows)
    assert all(request["maxlag"] == "5" for request in replica.requests)


def test_the_upload_history_of_a_single_file_does_not_replace_it(replica: Replica) -> None:
    uploads = ("2022-01-01T00:00:00Z", "2021-01-01T00:00:00Z", "2020-01-01T00:00:00Z")
    add(replica.world, 1, "Q7259", uploads=uploads)
    (row,) = rows_of(opened(replica, "Q7259"))
    assert any("iistart" in request for request in replica.requests)
    assert "archive" not in row["url"]
    assert json.loads(row["provenance"])["timestamp"] == uploads[0]


def test_labels_of_people(replica: Replica) -> None:
    replica.world.names |= {"Q2": {"mul": "Grace  Hopper"}, "Q3": {"de": "Anna"}, "Q5": {"en": "Eva"}}
    replica.world.merged["Q4"] = "Q5"
    for item in ("Q2", "Q3", "Q4", "Q5", "Q6"):
        add(replica.world, 1, item, name=item)
    source = opened(replica, "q2, Q3,Q4,Q5,Q6,Q2")
    rows = rows_of(source)
    assert [row["label"] for row in rows] == ["Grace Hopper (Q2)", "Q3", "Eva (Q5)", "Eva (Q5)", "Q6"]
    assert source.notes == ["Wikidata has no item Q6", "Q5 is Eva (Q5), who is listed already"]


def test_a_photo_of_two_people_is_listed_for_each(replica: Replica) -> None:
    replica.world.names["Q2"] = {"en": "Grace Hopper"}
    add(replica.world, 1, "Q7259", "Q2")
    first, second = rows_of(opened(replica, "Q7259,Q2"))
    assert first["url"] == second["url"]
    assert {first["label"], second["label"]} == {ADA, "Grace Hopper (Q2)"}


def test_a_file_of_people_with_labels_of_ones_own(replica: Replica, tmp_path: Path) -> None:
    ada = add(replica.world, 3, "Q7259")
    more = add(replica.world, 1, name="More")
    replica.world.categories["Category:Ada Lovelace"] = [ada[0].title, more[0].title]
    people = tmp_path / "people.tsv"
    people.write_text("\ufeffQ7259\tAda\r\n\nCategory:Ada_Lovelace\tAda\nCategory:ada Lovelace\n", "utf-8")
    source = opened(replica, f"@{people}")
    rows = rows_of(source)
    assert [row["label"] for row in rows] == ["Ada"] * 4 + ["Ada Lovelace"] * 2
    assert titles(rows)[:4] == [file.title for file in [*ada, *more]]
    assert not any(request["action"] == "wbgetentities" for request in replica.requests)


@pytest.mark.parametrize(("depth", "found"), [(0, ["A"]), (1, ["A", "B", "C"]), (5, ["A", "B", "C", "D"])])
def test_categories_and_their_sub_categories(replica: Replica, depth: int, found: list[str]) -> None:
    below = {"A": ["B", "C"], "B": ["A", "D"], "C": ["C", "D"], "D": ["A"]}  # with loops
    for name, names in below.items():
        files = [file.title for file in add(replica.world, 60, name=name)]
        replica.world.categories[f"Category:{name}"] = files + [f"Category:{other}" for other in names]
    rows = rows_of(opened(replica, "category:a", category_depth=depth))
    begun = [
        request["gcmtitle"]
        for request in replica.requests
        if "gcmtitle" in request and "continue" not in request
    ]
    assert begun == [f"Category:{name}" for name in found]
    assert {row["label"] for row in rows} == {"A"}
    assert len(rows) == 60 * len(found)
    assert {json.loads(row["provenance"])["category"] for row in rows} == set(begun)


def test_what_is_no_photo_is_not_listed(replica: Replica) -> None:
    files = [
        add(replica.world, 1, name=mime.replace("/", " "), mime=mime)[0]
        for mime in (
            "image/jpeg",
            "image/svg+xml",
            "application/pdf",
            "video/webm",
            "audio/ogg",
            "image/vnd.djvu",
        )
    ]
    replica.world.categories["Category:Ada"] = [file.title for file in files]
    assert titles(rows_of(opened(replica, "Category:Ada"))) == [files[0].title]


def test_files_that_are_gone_are_rejected(replica: Replica) -> None:
    add(replica.world, 1, "Q7259", state="lost")
    add(replica.world, 1, "Q7259", state="hidden")
    lost, hidden = rows_of(opened(replica, "Q7259"))
    assert (lost["reject"], lost["reject_detail"]) == (Reject.BAD_ROW, "the file is no longer on Commons")
    assert (hidden["reject"], hidden["reject_detail"]) == (Reject.BAD_ROW, "the file is hidden on Commons")
    assert lost["url"] is hidden["url"] is None


def test_only_the_licences_asked_for(replica: Replica) -> None:
    add(replica.world, 4, "Q7259")  # CC BY-SA 4.0, CC BY 2.0, CC0, Public domain
    add(replica.world, 1, "Q7259", metadata={})
    rows = rows_of(opened(replica, "Q7259", licences="cc by, Public domain"))
    assert [row["reject"] for row in rows] == [
        Reject.BAD_LICENCE, None, Reject.BAD_LICENCE, None, Reject.BAD_LICENCE
    ]  # fmt: skip
    assert [row["reject_detail"] for row in rows] == ["CC BY-SA 4.0", None, "CC0", None, "Commons names none"]


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("CC BY 4.0", "CC BY", True),
        ("CC BY-SA 4.0", "CC BY", False),
        ("CC BY-SA 4.0", "CC BY*", True),
        ("PD-USGov", "PD*", True),
        ("CC0", "CC0", True),
        ("CC BY 4.0", "cc by 4.0", True),
        ("CC BY 4.0", "CC BY 3.0", False),
        (None, "*", False),
    ],
)
def test_which_licences_are_meant(name: str | None, wanted: str, expected: bool) -> None:
    assert is_licence_wanted(name, [wanted]) is expected
    assert is_licence_wanted(name, None)


def test_no_more_photos_than_wanted_and_rejected_ones_do_not_count(replica: Replica) -> None:
    add(replica.world, 80, "Q7259")
    rows = rows_of(opened(replica, "Q7259", max_photos=10, licences="CC0"))
    assert len(accepted(rows)) == 10
    assert rows[-1]["reject"] is None
    assert sum("gsrsearch" in request for request in replica.requests) == 1


@pytest.mark.parametrize("width", [250, 960])
def test_thumbnails(replica: Replica, width: int) -> None:
    large, small = add(replica.world, 2, "Q7259", data=jpeg(1, (1000, 40)), size=(1000, 40))
    small.data, small.size = jpeg(2, (100, 40)), (100, 40)
    rows = rows_of(opened(replica, "Q7259", width_px=width))
    shown = [Image.open(BytesIO(urlopen(row["url"]).read())) for row in rows]
    assert [image.width for image in shown] == [width, 100]
    assert json.loads(rows[0]["provenance"])["thumbwidth"] == width
    assert "?" not in rows[0]["url"]
    assert titles(rows) == [large.title, small.title]


def test_lag_faults_and_limits_are_waited_out(replica: Replica) -> None:
    add(replica.world, 60, "Q7259")
    replica.faults += ["maxlag", "429", "503", "reset", "fault", "maxlag"]
    clock = Clock()
    assert len(rows_of(opened(replica, "Q7259", clock))) == 60
    assert clock.waits.count(11.0) == 1  # what the HTTP 429 asked for
    assert sum(wait >= 7.0 for wait in clock.waits) >= 3


def test_a_server_that_stays_behind(replica: Replica) -> None:
    replica.faults += ["maxlag"] * 8
    with pytest.raises(
        SourceError, match=r"stays busy: 8 attempts, .* maxlag: Waiting for .*; try again later"
    ):
        rows_of(opened(replica, "Q7259"))


def test_warnings_are_noted_once(replica: Replica) -> None:
    add(replica.world, 120, "Q7259")
    replica.faults += ["warning"] * 4
    source = opened(replica, "Q7259")
    rows_of(source)
    api = f"{replica.commons_api} warns (main): Unrecognized parameter: gsrsort."
    assert source.notes == [api.replace("/w/api", "/wikidata/w/api"), api]


def test_an_error_is_reported(replica: Replica) -> None:
    add(replica.world, 1, "Q7259")
    replica.faults += ["denied"]
    with pytest.raises(SourceError, match=r"refuses: You need read permission .* \(readapidenied\)"):
        rows_of(opened(replica, "Q7259"))


@pytest.mark.parametrize("fault", ["garbage", "list", "odd"])
def test_what_is_not_a_wiki(replica: Replica, fault: str) -> None:
    replica.faults += [fault]
    replica.world.categories["Category:Ada"] = []
    with pytest.raises(SourceError, match="address"):
        rows_of(opened(replica, "Category:Ada"))


def test_says_where_the_search_ends(replica: Replica) -> None:
    add(replica.world, 130, "Q7259")
    replica.commons.search_ends_at = 100
    source = opened(replica, "Q7259")
    assert len(rows_of(source)) == 100
    (note,) = source.notes
    assert "100 of 130 photos that depict Q7259 are listed" in note


def test_people_without_photos_are_reported(replica: Replica) -> None:
    add(replica.world, 1, "Q7259")
    source = opened(replica, "Q7259," + ",".join(f"Q{n}" for n in range(10, 17)))
    replica.world.names |= {f"Q{n}": {} for n in range(10, 17)}
    rows_of(source)
    assert source.notes == ["Commons has no photo of Q10, Q11, Q12, Q13, Q14 and 2 more"]
    with pytest.raises(SourceError, match=r"no photo for commons:Q10: Commons has no photo of Q10"):
        rows_of(opened(replica, "Q10"))


def test_hundreds_of_people_are_named_fifty_at_a_time(replica: Replica) -> None:
    for n in range(1, 121):
        replica.world.names[f"Q{n}"] = {"en": f"Person {n}"}
        add(replica.world, 1, f"Q{n}")
    rows = rows_of(opened(replica, ",".join(f"Q{n}" for n in range(1, 121))))
    assert [row["label"] for row in rows] == [f"Person {n} (Q{n})" for n in range(1, 121)]
    assert sum(request["action"] == "wbgetentities" for request in replica.requests) == 3


def test_two_listings_are_the_same(replica: Replica) -> None:
    add(replica.world, 70, "Q7259")
    source = opened(replica, "Q7259")
    assert pa.concat_tables(source.rows()) == pa.concat_tables(source.rows())


def test_a_listing_can_be_left_early(replica: Replica) -> None:
    add(replica.world, 200, "Q7259")
    rows = opened(replica, "Q7259").rows()
    next(rows)
    sent = len(replica.requests)
    rows.close()  # type: ignore[attr-defined]
    assert len(replica.requests) == sent == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "wants an id of Wikidata or a category"),
        ("Barack Obama", "neither an id of Wikidata"),
        ("Q0", "neither"),
        ("P180", "neither"),
        ("Q76|Q77", "neither"),
        ("Q76,John", "'John' is neither"),
        ("Category:", "neither"),
        ("@nowhere.txt", "cannot read nowhere.txt"),
    ],
)
def test_what_is_neither_person_nor_category(text: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        open_commons(text, CommonsSettings(), LIMITS)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b"Q1\tA\tB", "line 1: expected"), (b"Q1\n\tA", "line 2"), (b"Q\xff", "not UTF-8")],
)
def test_a_malformed_file_of_people(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "people.txt"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=sentence):
        open_commons(f"@{path}", CommonsSettings(), LIMITS)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="//x">Jane Doe</a>', "Jane Doe"),
        ("A &amp; B&nbsp;C &lt;d&gt;", "A & B C <d>"),
        ('x<span style="DISPLAY : none;">creator<b>Q</b></span>y', "xy"),
        ("<script>alert(1)</script>Jane<style>p{}</style>", "Jane"),
        ("one<br>two<br/>three<li>four</li>", "one two three four"),
        ('a<span style="display:none"><img src="x">hidden</span>b', "ab"),
        ("a\x00b\u202ec\n d", "a b c d"),
        ("<b>never closed", "never closed"),
        ("Jane <![foo]>x", "Jane"),  # the parser of Python ends there with an AssertionError
        ("<p>Jane</p>" + " " * 4980 + '<a href="x">there</a>', "Jane"),
        ("x" * 30, "x" * 17 + "..."),
    ],
)
def test_html_as_text(html: str, text: str) -> None:
    assert plain_text(html, 20) == text


def test_html_that_is_slow_to_read_is_not_read_to_its_end() -> None:
    started = time.process_time()
    plain_text("<a " * 16_000, 50)
    assert time.process_time() - started < 2.0  # 19 seconds for all of it


@given(st.text(st.characters(exclude_characters="<>&"), max_size=80))
def test_text_stays_text(text: str) -> None:
    line = plain_text(text, 50)
    assert len(line) <= 50
    assert line.isprintable()
    assert plain_text(line, 50) == line


@given(st.text("<>&;/ab='\"-! x", max_size=60))
def test_any_html_becomes_a_printable_line(html: str) -> None:
    assert plain_text(html, 50).isprintable()
