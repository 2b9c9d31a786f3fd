"""The restoration bench: photos in, pictures and a table out; bounds and mistakes are one sentence."""

import base64
import io
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import FormData
from PIL import Image

from facerefs.pipeline.explore.restore_bench import pages, uploads
from facerefs.pipeline.restoring import find_faces
from facerefs.pipeline.restoring.photo import read_photo
from facerefs.pipeline.restoring.whole import load_photo_restorer
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import render as draw_photo
from facerefs.stages.synthetic_people.view import draw_view
from facerefs.trainers.models.catalogue import MODULES
from tests.pipeline.explore.bench_client import asked, render, shown
from tests.pipeline.restoring.test_restore import made_run

Files = dict[str, list[tuple[str, bytes]]]


@pytest.fixture(autouse=True, scope="module")
def _toy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(MODULES, "toy", "tests.pipeline.restoring.toy_restorer")
        patched.setattr(find_faces, "load_engines", cache(find_faces.load_engines))
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    person = draw_person(5, 0)
    for number in range(2):
        Image.fromarray(draw_photo(person, draw_view(5, 0, number), 400).image).save(folder / f"{number}.png")
    Image.new("RGB", (200, 200), "gray").save(folder / "nobody.png")
    made_run(folder / "refine", "refine")
    made_run(folder / "steady", "toy", "steady")
    return folder


def form(photo: bytes | None, references: tuple[bytes, ...] = (), **options: str) -> FormData:
    data = FormData(quote_fields=False, default_to_multipart=True)
    for name, value in options.items():
        data.add_field(name, value)
    if photo is not None:
        data.add_field("photo", photo, filename="fake/path/photo.png", content_type="image/png")
    for number, reference in enumerate(references):
        data.add_field("reference", reference, filename=f"ref{number}.png", content_type="image/png")
    return data


def answers(
    place: Path, *forms: Callable[[], Any], runs: tuple[str, ...] = ("refine", "steady")
) -> list[tuple[int, Any]]:
    """Status and JSON of each request, in order."""
    folders = tuple(place / run for run in runs)

    async def requests(client: Any) -> list[tuple[int, Any]]:
        out = []
        for one in forms:
            response = await client.post("/restore/photo", data=one())
            out.append((response.status, await response.json()))
        return out

    return asked(lambda app: pages.add_routes(app, render, folders, device="cpu"), requests)


def pixels(data: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.rpartition(",")[2]))))


def test_the_result_is_that_of_the_restorer(place: Path) -> None:
    photo, reference = ((place / f"{number}.png").read_bytes() for number in range(2))
    (status, made), (again, other), (_, none) = answers(
        place,
        lambda: form(photo, (reference,), run="0", person="Ann", is_person="on"),
        lambda: form(photo, (reference,), run="1", strength="0"),
        lambda: form(photo, run="1", faces="1"),
    )
    assert (status, again) == (200, 200)
    restorer = load_photo_restorer(place / "refine", device="cpu")
    people = restorer.people({"Ann": [read_photo(place / "1.png")]})
    whole = restorer.restore(read_photo(place / "0.png"), people)
    assert np.array_equal(pixels(made["png"]), whole.photos[0])
    (face,) = made["faces"]
    assert (face["person"], face["reference"], face["number"], face["left"]) == ("Ann", "ref0.png", 1, None)
    assert face["similarity"] == whole.faces[0].similarity
    assert face["warnings"] == list(whole.faces[0].warnings)
    assert all(face[name].startswith("data:image/jpeg") for name in ("before", "reference_crop", "restored"))
    assert made["file"] == "photo-restored.png"
    assert np.array_equal(pixels(other["png"]), pixels("," + base64.b64encode(photo).decode()))
    assert other["notes"] == ["toy restores without a reference: the references only say who is who"]
    assert none["faces"][0]["person"] is None


def test_mistakes_are_one_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, nobody = (place / "0.png").read_bytes(), (place / "nobody.png").read_bytes()
    monkeypatch.setattr(uploads, "MOST_FILE_BYTES", len(photo) + 1000)
    cases = {
        "choose one": lambda: form(None, run="1"),
        "takes 1 reference of the person": lambda: form(photo, run="0"),
        "finds no face in photo.png": lambda: form(nobody, run="1"),
        "cannot read photo.png": lambda: form(b"\x89PNG\r\n\x1a\n and nothing more", run="1"),
        "save it as PNG or JPEG": lambda: form(b"<svg/>", run="1"),
        "there is no face 7": lambda: form(photo, run="1", faces="7"),
        "faces cannot be '-1'": lambda: form(photo, faces="-1"),
        "faces cannot be 0": lambda: form(photo, faces="0"),
        "strength cannot be 'nan'": lambda: form(photo, strength="nan"),
        "there is no run 10": lambda: form(photo, run="9"),
        "unknown field 'evil'": lambda: form(photo, evil="1"),
        "the option person is too large": lambda: form(photo, person="x" * 1000),
        "photo.png is too large": lambda: form(photo + b"0" * 2000),
        "more than 8 references": lambda: form(photo, (nobody,) * 9),
        "not a form with files": lambda: b"{}",
    }
    for sentence, (status, answer) in zip(cases, answers(place, *cases.values()), strict=True):
        assert status == 400
        assert sentence in answer["error"]
        assert "\n" not in answer["error"]
    ((status, answer),) = answers(place, lambda: form(photo), runs=("nothing",))
    assert (status, "nothing" in answer["error"]) == (400, True)
    monkeypatch.setattr(uploads, "MOST_PIXELS", 1000)
    ((status, answer),) = answers(place, lambda: form(photo, run="1"))
    assert (status, "at most 1000" in answer["error"]) == (400, True)


def test_a_second_restoration_is_told_to_wait(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio
    import threading

    started, go_on = threading.Event(), threading.Event()

    def slow(*_: object, **__: object) -> None:
        started.set()
        go_on.wait(60)
        raise pages.UserError("the end")

    monkeypatch.setattr("facerefs.pipeline.restoring.whole.load_photo_restorer", slow)
    photo = (place / "0.png").read_bytes()

    async def requests(client: Any) -> tuple[int, int]:
        first = asyncio.ensure_future(client.post("/restore/photo", data=form(photo)))
        await asyncio.to_thread(started.wait, 60)
        second = await client.post("/restore/photo", data=form(photo))
        go_on.set()
        return (await first).status, second.status

    statuses = asked(lambda app: pages.add_routes(app, render, (place / "steady",)), requests)
    assert statuses == (400, 409)


def test_the_page_without_runs_says_how_to_get_one() -> None:
    async def requests(client: Any) -> str:
        return str(await (await client.get("/restore")).text())

    assert "facerefs train" in asked(lambda app: pages.add_routes(app, render, ()), requests)
    page = asked(lambda app: pages.add_routes(app, render, (Path("/runs/<b>evil"),)), requests)
    assert "<b>evil" not in page
    assert "&lt;b&gt;evil" in page


def test_a_photo_is_restored_in_a_browser(place: Path) -> None:
    def look(tab: Any) -> None:
        tab.get_by_role("button", name="Restore", exact=True).click()
        assert "There is no photo" in tab.get_by_role("alert").inner_text()
        tab.get_by_label("Photo to restore").set_input_files(place / "0.png")
        tab.get_by_label("References of the person", exact=True).set_input_files([place / "1.png"])
        tab.get_by_role("button", name="Remove 1.png").wait_for()
        tab.get_by_role("button", name="Restore", exact=True).click()
        tab.get_by_role("cell", name="1.png").wait_for()
        divide = tab.get_by_label("Where before ends", exact=False)
        divide.press("ArrowRight")
        assert (
            tab.evaluate("getComputedStyle(document.querySelector('.compare')).getPropertyValue('--at')")
            == "51%"
        )
        with tab.expect_download() as saved:
            tab.get_by_text("Save the restored photo").click()
        assert saved.value.suggested_filename == "0-restored.png"
        assert Image.open(saved.value.path()).size == (400, 400)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 400

    shown(
        lambda app: pages.add_routes(app, render, (place / "refine",), device="cpu"),
        "/restore",
        look,
        width=400,
    )
