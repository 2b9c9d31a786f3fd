"""The pages: each number leads to the rows that it counts, all that is known is shown, and names are never markup."""

import io
import json
import re
import shutil
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from PIL import Image

from facerefs.pipeline.dataset.funnel import funnel
from facerefs.pipeline.explore.explored_build import ExploredBuild
from facerefs.pipeline.explore.views.samples import SAMPLES
from facerefs.pipeline.storage.folder import Storage
from tests.pipeline.explore.conftest import EVIL
from tests.pipeline.explore.opened import Opened, opened
from tests.pipeline.report.test_report import Page

LISTS = ("photos", "faces", "people", "pairs", "copies", "samples")


def count(html: str) -> int:
    found = re.search(r"<b>([\d,]+) ", html)
    assert found, html
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize("path", ["/", *(f"/{name}" for name in LISTS), "/decisions"])
def test_a_page_is_sound_and_names_are_no_markup(page: Opened, path: str) -> None:
    answer = page.get(path)
    assert answer.status == 200
    html = Page(answer.text)
    assert not html.open
    assert all(one.get("alt") is not None for one in html.named("img"))
    assert not [one for one in html.named("img") if not (one["src"] or "").startswith("/picture?")]
    assert "onerror=alert(1)>" not in answer.text


def test_names_are_shown_as_they_are(page: Opened) -> None:
    assert EVIL in Page(page.get("/people").text).text
    assert EVIL in Page(page.get("/details", id=EVIL).text).text


def test_each_reason_leads_to_as_many_rows(page: Opened, explored_build: Path) -> None:
    links = re.findall(r'href="(/[^"]+reason=[^"]+)">([\d,]+)</a>', page.get("/").text)
    reasons = [number for step in funnel(Storage.at(explored_build)) for number in step.reasons.values()]
    assert len(links) == len(reasons) >= 2
    for link, number in links:
        found = page.get(link.replace("&amp;", "&")).text
        assert count(found) == int(number.replace(",", "")) > 0


def test_every_row_of_the_build_is_listed(page: Opened, explored_build: Path) -> None:
    storage = Storage.at(explored_build)
    rows = {"photos": "sources", "faces": "faces", "copies": "copies", "samples": "samples"}
    for name, table in rows.items():
        assert count(page.get(f"/{name}").text) == len(storage.scan(table)), name
    pairs = storage.scan("pairs", ("reference",))
    assert count(page.get("/pairs").text) == len(pairs) - pairs["reference"].null_count


@pytest.mark.parametrize("name", LISTS)
def test_every_picture_of_a_list_is_there(page: Opened, name: str) -> None:
    html = Page(page.get(f"/{name}").text)
    for picture in html.named("img"):
        answer = page.get((picture["src"] or "").replace("&amp;", "&"))
        if answer.status == 404:
            assert "broken.jpg" in (picture["src"] or "")
            continue
        image = Image.open(io.BytesIO(answer.body))
        assert image.format == "WEBP"
        assert max(image.size) <= 192


def test_details_tell_what_trace_tells(page: Opened, explored_build: Path) -> None:
    row = Storage.at(explored_build).scan("samples").to_pylist()[0]
    tree = json.loads(page.get("/details.json", id=row["key"]).text)
    assert tree["samples"][0]["row"]["references"] == row["references"]
    text = Page(page.get("/details", id=row["key"]).text).text
    assert row["key"] in text
    assert "How it was degraded (theta)" in text
    assert all(face in text for face in row["references"])


def test_what_is_unknown_is_said_in_one_sentence(page: Opened) -> None:
    for path, query, sentence in (
        ("/details", {"id": "nobody-here"}, "is nothing that"),
        ("/faces", {"yaw_min": "wide"}, "which is no number"),
        ("/faces", {"page": "-1"}, "no number from 1 on"),
        ("/faces", {"sort": "beauty"}, "cannot be sorted by"),
        ("/faces", {"beauty": "1"}, "have no column"),
    ):
        answer = page.get(path, **query)
        assert answer.status == 400
        assert sentence in Page(answer.text).text


def test_filters_combine_and_pages_keep_them(page: Opened, explored_build: Path) -> None:
    rows = Storage.at(explored_build).scan("identities").to_pylist()
    own = [row for row in rows if row["identity"] == "person-000"]
    html = page.get("/faces", identity="person-000", sort="-similarity").text
    assert count(html) == len(own)
    shown = re.findall(r'data-subject="([0-9a-f-]+)"', html)
    assert shown == [row["face"] for row in sorted(own, key=lambda row: -row["similarity"])]
    links = [one["href"] or "" for one in Page(page.get("/people").text).named("a")]
    (of_evil,) = [link for link in links if dict(parse_qsl(urlsplit(link).query)).get("identity") == EVIL]
    assert count(page.get(of_evil).text) == sum(row["identity"] == EVIL for row in rows)


def test_a_finished_build_is_seen_without_a_restart(explored_build: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(explored_build, tmp_path / "copy"))
    now = [0.0]
    explored = ExploredBuild(Storage.at(copy), (SAMPLES,), clock=lambda: now[0])
    before, version = len(explored.rows(SAMPLES).rows), explored.version()
    part = next((copy / "samples").glob("*.parquet"))
    shutil.copyfile(part, part.with_name("train-99999.parquet"))
    now[0] = 60.0
    assert len(explored.rows(SAMPLES).rows) > before
    assert explored.version() > version


def test_blurred_faces_cannot_be_recognised(explored_build: Path) -> None:
    face = Storage.at(explored_build).scan("faces", ("id",))["id"][0].as_py()
    with opened(explored_build, blur=True) as page:
        assert "faces are hidden" in page.get("/").text
        for large in ("", "1"):
            picture = page.get("/picture", of="face", id=face, large=large).body
            pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("L"), np.float32)
            low = Image.fromarray(pixels.astype(np.uint8)).resize((16, 16), Image.Resampling.BOX)
            smooth = np.asarray(low.resize(pixels.shape[::-1], Image.Resampling.BICUBIC), np.float32)
            assert np.abs(pixels - smooth).mean() < 2.5


def test_two_builds_side_by_side(explored_build: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(explored_build, tmp_path / "other"))
    next((other / "samples").glob("*.parquet")).unlink()
    with opened(explored_build, other) as page:
        assert str(other) in Page(page.get("/").text).text
        text = Page(page.get("/differences").text).text
        assert count(page.get("/differences", what="another split").text) > 0
        assert "another split" in text
    with opened(explored_build, explored_build) as page:
        assert count(page.get("/differences").text) == 0
