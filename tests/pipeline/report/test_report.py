"""The report: it shows a build with all reject reasons, and text from outside never becomes markup."""

import base64
import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facerefs.pipeline.report.histogram import HEIGHT, WIDTH, Series, histogram
from facerefs.pipeline.report.report import hides_faces, write_report
from facerefs.pipeline.report.sampling import spread
from facerefs.pipeline.report.sections.distributions import distributions
from facerefs.pipeline.report.sections.training import WHOLE_PHOTO_SHEET
from facerefs.pipeline.report.thumbnails import PictureBudget, hidden, thumbnail
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import figure, shown, size, web_link
from facerefs.schemas.operations import (
    Blur,
    GeneralisedBlur,
    Jpeg,
    MotionBlur,
    PlateauBlur,
    PoissonNoise,
    Resize,
    SincBlur,
)
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import BUNDLE, TABLES, loaded
from facerefs.schemas.theta import describe, to_json
from tests.hostile import encoded, portrait

EVIL = "<script>alert(1)</script>\"onerror='x' &amp;"
UPSIDE_DOWN = "photo\u202egpj.exe"
THETA = (Blur(41, 3.0, 2.0, 0.0), Resize(48, 48, "bilinear"), Jpeg(70, "4:2:0"))
CRAWL = list(Reject)[: list(Reject).index(Reject.DUPLICATE_EXACT)]
ANALYSE = list(Reject)[list(Reject).index(Reject.NO_FACE) : list(Reject).index(Reject.UNLABELLED)]
CLUSTER = list(Reject)[list(Reject).index(Reject.UNLABELLED) : list(Reject).index(Reject.NO_REFERENCE)]
VOID_TAGS = {"meta", "img", "br", "wbr", "link", "input", "base"}


class Page(HTMLParser):
    """The tags, attributes and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.style = self.script = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        elif self.open and self.open[-1] == "script":
            self.script += data
        else:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def add(storage: Storage, table: str, rows: list[dict[str, Any]], part: str = "part-00000") -> None:
    """Write rows, with null for what they do not say, and bytes for blobs."""
    schema = TABLES[table]
    schema = (
        schema.set(schema.get_field_index("files"), pa.field("files", BUNDLE))
        if table == "samples"
        else schema
    )
    wants_bytes = any(isinstance(row.get("photo", row.get("crop")), bytes) for row in rows)
    whole = [dict.fromkeys(schema.names) | row for row in rows]
    with storage.writing(table, part, "fingerprint") as writer:
        writer.add(pa.Table.from_pylist(whole, loaded(schema) if wants_bytes else schema))


def picture(seed: int, side_px: int = 64) -> bytes:
    return encoded(portrait(side_px, side_px, seed), "PNG")


def face_row(number: int, key: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{number:016x}-0",
        "key": key,
        "crop": picture(number),
        "crop_size": 64,
        "yaw": float(number),
        "pitch": -1.0,
        "face_px": 300.0 + number,
        "sharpness": 100.0,
        "niqe": 4.0,
        "detector": "dlib-hog",
        **more,
    }


def photo_row(number: int, key: str, **more: Any) -> dict[str, Any]:
    data = picture(number)
    return {"key": key, "id": hashlib.sha256(data).hexdigest(), "photo": data, **more}


def who(number: int, **more: Any) -> dict[str, Any]:
    return {"face": f"{number:016x}-0", "similarity": 0.9, "other": "Bob", "other_similarity": 0.2, **more}


@pytest.fixture
def build(tmp_path: Path) -> Storage:
    """Seven faces of two people; every reason to reject once; names that want to be markup."""
    storage = Storage(str(tmp_path / "build"))
    storage.write_text(
        "build.yaml", json.dumps({"source": f"/photos/{EVIL}", "config": {"select": {"references": 2}}})
    )
    links = ["https://example.org/1?a=1&b=<i>", "javascript:alert(1)", "https://example.org/\"onclick='x'"]
    keys = [f"{EVIL}/{i}.png" for i in range(7)]
    add(
        storage,
        "sources",
        [{"key": key, "page": links[i % 3], "licence": "CC BY 4.0 <b>"} for i, key in enumerate(keys)],
    )
    photos = [photo_row(i, key) for i, key in enumerate(keys)] + [photo_row(50, UPSIDE_DOWN)]
    photos += [
        {"key": f"bad-{reason}", "reject": reason, "reject_detail": f"{EVIL} {reason}"} for reason in CRAWL
    ]
    add(storage, "images", photos)
    kept = {"kept_key": f"{EVIL}/0.png", "group": "a", "label": EVIL}
    add(
        storage,
        "duplicates",
        [
            {"key": f"{EVIL}/0.png", "kept": True, "kind": "kept", "distance": 0, **kept},
            {
                "key": UPSIDE_DOWN,
                "kept": False,
                "kind": "near",
                "distance": 3,
                "why": EVIL,
                "reject": "duplicate_near",
                **kept,
            },
            {
                "key": "gone",
                "kept": False,
                "kind": "exact",
                "distance": 0,
                "reject": "duplicate_exact",
                **kept,
            },
        ],
    )
    faces = [face_row(i, f"{EVIL}/{i}.png") for i in range(7)]
    faces += [face_row(20 + i, f"{EVIL}/{i}.png", reject=reason) for i, reason in enumerate(ANALYSE)]
    faces += [face_row(40 + i, f"{EVIL}/{i}.png") for i in range(len(CLUSTER))]
    add(storage, "faces", faces)
    identities = [who(i, label=EVIL, identity=EVIL, decision="kept") for i in range(4)]
    identities += [who(4, label=EVIL, identity="Bob", decision="corrected", why=f"it is {EVIL}")]
    identities += [who(i, label="Bobby", identity="Bob", decision="merged", why="one person") for i in (5, 6)]
    identities += [
        who(40 + i, label=EVIL, decision="dropped", reject=reason, why=EVIL)
        for i, reason in enumerate(CLUSTER)
    ]
    add(storage, "identities", identities)
    pair = {"identity": EVIL, "landmark_distance": 0.0123, "similarity": 0.8765, "pose_gap": 4.5}
    pairs = [{"target": f"{0:016x}-0", "reference": f"{1:016x}-0", "rank": 0, **pair}]
    pairs += [
        {
            "target": f"{0:016x}-0",
            "reference": f"{2:016x}-0",
            "reject": Reject.COPY,
            "reject_detail": EVIL,
            **pair,
        }
    ]
    session = {"reference": f"{3:016x}-0", "reject": Reject.SESSION, "reject_detail": "cosine 0.96"}
    pairs += [{"target": f"{0:016x}-0", **pair, **session}]
    pairs += [{"target": f"{4:016x}-0", "reject": Reject.NO_REFERENCE, "reject_detail": "the only photo"}]
    add(storage, "pairs", pairs)
    files = {"gt.png": picture(0), "ref0.png": picture(1), "lq.jpg": encoded(portrait(48, 48), "JPEG")}
    sample = {
        "key": "k",
        "split": "val",
        "identity": EVIL,
        "target": f"{0:016x}-0",
        "references": [f"{1:016x}-0"],
    }
    bundle = [{"name": f"k.{name}", "data": data} for name, data in files.items()]
    samples = [{**sample, "theta": to_json(THETA), "files": bundle}]
    samples += [{**sample, "key": "l", "reject": Reject.CHANGED, "reject_detail": EVIL}]
    add(storage, "samples", samples, "val-00000")
    return storage


def html_of(storage: Storage) -> str:
    write_report(storage)
    html = storage.read_text("report.html")
    assert html is not None
    return html


def test_every_reason_is_shown_with_its_sentence(build: Storage) -> None:
    text = " ".join(Page(html_of(build)).text.split())
    for reason in Reject:
        assert re.search(rf"\d {re.escape(reason.sentence)} {reason}\b", text), reason


def test_each_kind_of_degradation_has_a_histogram_and_sizes_are_the_last_ones(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    first = (GeneralisedBlur(7, 2.0, 2.0, 0.0, 1.5), Resize(100, 100, "area"), PoissonNoise(1.5, True, 3))
    last = (SincBlur(7, 1.0), Jpeg(40, "4:2:0"), Resize(16, 16, "area"), Jpeg(70, "4:2:0"))
    thetas = [(*first, PlateauBlur(7, 4.0, 1.0, 0.0, 1.5), *last), (MotionBlur(9, 5.0, 0.0), *THETA[:2])]
    add(storage, "faces", [{"id": "a", "key": "a", "crop_size": 64}])
    add(storage, "samples", [{"key": str(i), "theta": to_json(one)} for i, one in enumerate(thetas)])
    drawn = {one.title: one.series[0] for one in distributions(storage, {})}
    assert {title: (one.count, one.low, one.high) for title, one in drawn.items()} == {
        "Blur: Gaussian": (1, "2.4", "2.4"),
        "Blur: generalised": (1, "2.0", "2.0"),
        "Blur: plateau": (1, "2.0", "2.0"),
        "Blur: motion": (1, "5.0", "5.0"),
        "Blur: sinc": (1, "0.32", "0.32"),
        "Reduction": (2, "1.5", "3.9"),  # 64 / 48 and 64 / 16: 5th and 95th percentiles
        "Noise: shot": (1, "1.5", "1.5"),
        "JPEG quality": (1, "70", "70"),
    }


def test_a_recipe_of_ones_own_is_shown_by_its_name(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    recipe = {"name": "mild", "rounds": [{"resize": {"reduction": [1, 2]}}]}
    storage.write_text("build.yaml", yaml.safe_dump({"config": {"shard": {"recipe": recipe}}}))
    text = " ".join(Page(html_of(storage)).text.split())
    assert "mild, a recipe of this build" in text
    assert "{" not in text


def test_every_tag_is_closed_and_every_picture_has_a_text(build: Storage) -> None:
    page = Page(html_of(build))
    assert page.open == []
    assert all(image["alt"] for image in page.named("img"))
    assert all(drawing.get("aria-label") or drawing.get("aria-hidden") for drawing in page.named("svg"))
    assert all(len(page.named(tag)) == 1 for tag in ("h1", "nav", "main", "footer"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_text_from_outside_stays_text(build: Storage) -> None:
    page = Page(html_of(build))
    assert EVIL in page.text
    assert page.script == (resources.files("facerefs.pipeline.report") / "templates/report.js").read_text()
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not {tag for tag, _ in page.tags} & {"base", "iframe", "object", "embed", "form", "link", "i"}
    assert "\u202e" not in page.text
    assert "photo\N{REPLACEMENT CHARACTER}gpj.exe" in page.text


def test_nothing_is_loaded_from_elsewhere(build: Storage) -> None:
    page = Page(html_of(build))
    sources = [value for _, attributes in page.tags for name, value in attributes.items() if name == "src"]
    assert len(sources) > 20
    assert all(source and source.startswith("data:image/webp;base64,") for source in sources)
    assert not re.search(r"url\(|@import", page.style)
    policy = next(
        meta["content"] for meta in page.named("meta") if "Content-Security-Policy" in meta.values()
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert len(page.named("script")) == 1


def test_links_lead_to_the_web_or_into_the_page(build: Storage) -> None:
    page = Page(html_of(build))
    links = {anchor["href"]: anchor.get("rel") for anchor in page.named("a")}
    outside = {link: rel for link, rel in links.items() if link and not link.startswith("#")}
    assert set(outside) == {"https://example.org/1?a=1&b=<i>", "https://example.org/\"onclick='x'"}
    assert all(rel and "noopener" in rel for rel in outside.values())
    anchors = {attributes.get("id") for _, attributes in page.tags}
    assert all(link[1:] in anchors for link in links if link and link.startswith("#"))


def test_figures_and_texts_are_in_the_page(build: Storage) -> None:
    text = Page(html_of(build)).text
    for words in (
        describe(THETA),
        "48 × 48",
        "1.23 %",
        "0.877",
        "4.5°",
        "3 bits",
        "refused copy",
        "2 faces labelled",
    ):
        assert words in text
    assert re.search(r"references\s*2\s+default 1", text)  # the only setting that is not at its default


def test_the_same_build_gives_the_same_bytes_wherever_it_lies(build: Storage, tmp_path: Path) -> None:
    first = html_of(build)
    assert html_of(build) == first
    shutil.copytree(build.root, tmp_path / "elsewhere")
    assert html_of(Storage(str(tmp_path / "elsewhere"))) == first


def test_an_empty_build_gives_a_page(tmp_path: Path) -> None:
    page = Page(html_of(Storage(str(tmp_path))))
    for sentence in (
        "There are no samples",
        "Nobody was identified",
        "No photo has a copy",
        "nothing to measure",
    ):
        assert sentence in page.text
    assert page.named("img") == []


def test_a_build_of_rejects_only_gives_a_page(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    add(storage, "images", [{"key": "x", "reject": Reject.EMPTY, "reject_detail": "0 bytes"}])
    text = " ".join(Page(html_of(storage)).text.split())
    assert "1 photo in, 0 go on" in text
    assert "0 bytes" in text


def test_lost_and_changed_pictures_leave_a_gap(build: Storage) -> None:
    before = len(Page(html_of(build)).named("img"))
    (Path(build.root) / "blobs/faces/part-00000.tar").unlink()
    (Path(build.root) / "samples/val-00000.tar").write_bytes(b"no tar" * 30_000)
    after = html_of(build)
    assert 0 < len(Page(after).named("img")) < before
    assert "no picture" in after


def test_a_local_photo_that_is_no_longer_the_same_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(picture(1))
    place = {"path": str(file), "offset": 0, "length": file.stat().st_size}
    row = {"key": "photo.png", "id": hashlib.sha256(file.read_bytes()).hexdigest(), "photo": place}
    storage = Storage(str(tmp_path / "build"))
    add(storage, "images", [{**row, "reject": Reject.TOO_SMALL}])
    assert len(Page(html_of(storage)).named("img")) == 1
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert Page(html_of(storage)).named("img") == []


def test_pictures_stop_at_the_budget() -> None:
    made = thumbnail(picture(3), 32)
    assert made is not None
    assert (made.width, made.original_width) == (32, 64)
    budget = PictureBudget(2 * len(made.uri))
    assert [budget.spend(made) is not None for _ in range(3)] == [True, True, False]
    assert thumbnail(b"GIF89a, they say", 32) is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.one_of(st.none(), st.floats(-1e9, 1e9)))
def test_a_histogram_counts_every_value_once(values: list[float], limit: float | None) -> None:
    drawn = histogram("t", [Series("", np.array([*values, np.nan]))], limit=limit)
    assert drawn is not None
    bars = drawn.series[0].bars
    assert sum(int(bar.title.rpartition(": ")[2]) for bar in bars) == len(values) == drawn.series[0].count
    assert all(
        bar.x >= 0 and bar.x + bar.width <= WIDTH and 0 <= bar.y <= bar.y + bar.height <= HEIGHT
        for bar in bars
    )
    assert len(bars) <= 60


@given(st.integers(0, 200), st.integers(1, 20))
def test_a_spread_reaches_from_the_first_to_the_last(count: int, most: int) -> None:
    chosen = spread(range(count), most)
    assert len(chosen) == min(count, most)
    assert chosen == sorted(set(chosen))
    if count > 1 and most > 1:
        assert (chosen[0], chosen[-1]) == (0, count - 1)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "JAVASCRIPT:x",
        "//host/x",
        "http:///x",
        "https://a b",
        "ftp://h/x",
        "http://[",
        "https://h/\n",
    ],
)
def test_only_addresses_of_the_web_become_links(url: str) -> None:
    assert web_link(url) is None


def test_text_is_made_fit_to_be_shown() -> None:
    assert shown("a\x00b\nc\u2066d") == "a\N{REPLACEMENT CHARACTER}b c\N{REPLACEMENT CHARACTER}d"
    assert shown("Zoë 李 \u0939\u200d") == "Zoë 李 \u0939\u200d"
    assert len(shown("x" * 10_000)) == 300
    assert figure(-0.0004, 3) == "0.000"
    assert figure(-1.5, 1) == "−1.5"
    assert figure(float("nan")) == "–"
    assert [size(999), size(107_935_232)] == ["999 bytes", "107.9 MB"]


def beyond_8_px(html: str) -> list[float]:
    """For each embedded picture, the mean error (0 to 255) of rebuilding it from 8 px along its longer side."""
    errors = []
    for one in re.findall(r"data:image/webp;base64,([A-Za-z0-9+/=]+)", html):
        picture = Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB")
        rebuilt = hidden(picture)
        errors.append(float(np.abs(np.asarray(picture, float) - np.asarray(rebuilt, float)).mean()))
    return errors


def test_hidden_faces_cannot_be_recognised(build: Storage) -> None:
    run = Path(build.root) / "runs/refine"
    (run / "grids").mkdir(parents=True)
    (run / "log.jsonl").write_text('{"step": 5, "validation/psnr": 20.0}\n')
    for file in ("grids/step-00000005.png", WHOLE_PHOTO_SHEET):
        (run / file).parent.mkdir(exist_ok=True)
        (run / file).write_bytes(encoded(portrait(300, 100, 7), "PNG"))
    shown = beyond_8_px(html_of(build))
    write_report(build, blur=True)
    html = build.read_text("report.html") or ""
    assert "Faces are hidden" in html
    assert hides_faces(build)
    blurred = beyond_8_px(html)
    assert len(blurred) == len(shown) > 10
    assert max(blurred) < min(shown) / 2
    write_report(build)
    assert not hides_faces(build)


def test_links_between_sections_lead_to_the_same_photo(build: Storage) -> None:
    tags = Page(html_of(build)).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] or "" for tag, attributes in tags if tag == "a" and "href" in attributes]
    inside = {link[1:] for link in links if link.startswith("#")}
    assert inside <= set(ids)
    key_at = {attributes.get("id"): attributes.get("data-of") for tag, attributes in tags if tag == "img"}
    photos = {place: key_at[place] for place in inside & set(key_at)}
    assert {place.partition("-")[0] for place in photos} == {
        *("funnel", "samples", "people", "labels", "review", "duplicates", "references")
    }
    assert all(re.fullmatch("[a-z]+-[0-9a-f]{16}", place) for place in photos)
    by_digest: dict[str, set[str | None]] = {}
    for place, key in photos.items():
        by_digest.setdefault(place.partition("-")[2], set()).add(key)
    assert all(len(keys) == 1 for keys in by_digest.values())


def test_a_lost_picture_leaves_no_dead_link(build: Storage) -> None:
    (Path(build.root) / "blobs/faces/part-00000.tar").unlink()
    page = Page(html_of(build))
    ids = {attributes.get("id") for _, attributes in page.tags}
    links = [anchor["href"] or "" for anchor in page.named("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= ids


@pytest.fixture
def tab(build: Storage, browser: Any) -> Iterator[Any]:
    """The report in a browser; an error of a script, or of the page's policy, fails the test."""
    html_of(build)
    tab = browser.new_page(viewport={"width": 1000, "height": 800})
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text))
    tab.goto(build.local_path("report.html").as_uri())
    yield tab
    tab.close()
    assert errors == []


@pytest.mark.parametrize(
    ("section", "items"), [("labels", ".cases > *, .merges > *"), ("review", ".doubts > *")]
)
def test_a_large_section_is_filtered_by_text_and_mark(tab: Any, section: str, items: str) -> None:
    found = tab.locator(f"#{section}").locator(items)
    every = found.count()
    search = tab.locator(f"#{section}-filter")
    bar = tab.locator(f"#{section} .filter")
    assert f"{every} of the {every} shown here" in bar.inner_text()
    search.fill("no such words")
    assert found.locator("visible=true").count() == 0
    bar.get_by_text(f"0 of the {every} shown here").wait_for()
    search.fill("4.PNG")  # the key of one photo
    assert 0 < found.locator("visible=true").count() < every
    search.fill("")
    search.press("Tab")
    tab.keyboard.press("ArrowDown")
    assert 0 < found.locator("visible=true").count() < every


def test_rejects_are_filtered_by_reason(tab: Any) -> None:
    tab.locator("#funnel select").select_option("too_small")
    assert tab.locator("#funnel .reasons > li").locator("visible=true").count() == 1
    assert "1 of the" in tab.locator("#funnel .filter").inner_text()


def test_a_picture_opens_by_key_and_the_focus_returns(tab: Any) -> None:
    tab.locator("#people img").first.focus()
    tab.keyboard.press("Enter")
    lightbox = tab.get_by_role("dialog")
    assert "shown with 64 × 64 px, of 64 × 64 px" in lightbox.inner_text()
    first = lightbox.locator("img").get_attribute("src")
    tab.keyboard.press("ArrowRight")
    assert lightbox.locator("img").get_attribute("src") != first
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("Escape")
    lightbox.wait_for(state="hidden")
    assert tab.locator("#people img").first.evaluate("one => one === document.activeElement")


def test_links_lead_to_what_a_filter_hides(tab: Any) -> None:
    tab.locator("#labels-filter").fill("no such words")
    link = tab.locator('a[href^="#labels-"]').first
    target = tab.locator(link.get_attribute("href"))
    link.click()
    assert target.is_visible()
    tab.locator("#labels-filter").fill("no such words")
    key = target.get_attribute("data-of")
    tab.locator("#people img").evaluate_all(
        "(all, key) => all.find((one) => one.dataset.of === key).click()", key
    )
    tab.get_by_role("dialog").locator(".places button", has_text="Changed labels").first.click()
    tab.get_by_role("dialog").wait_for(state="hidden")
    tab.wait_for_function("document.activeElement.closest('#labels') !== null")
    assert tab.locator("img.found").is_visible()


def test_the_page_is_whole_without_its_script(build: Storage, browser: Any) -> None:
    html_of(build)
    tab = browser.new_page(java_script_enabled=False)
    tab.goto(build.local_path("report.html").as_uri())
    assert tab.locator(".filter, dialog, [role=button]").count() == 0
    assert tab.locator(".cases > *").locator("visible=true").count() == tab.locator(".cases > *").count() > 0
    tab.close()
