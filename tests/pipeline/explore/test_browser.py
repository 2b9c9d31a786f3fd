"""The page in a real browser: decisions by mouse and keyboard, light and dark, narrow and wide."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from facerefs.pipeline.explore.decisions import read_decisions
from facerefs.pipeline.storage.folder import Storage
from tests.pipeline.explore.opened import opened

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `dev`")


@pytest.fixture
def build(explored_build: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(explored_build, tmp_path / "build"))


@pytest.fixture
def tab(build: Path, browser: "playwright.Browser") -> Iterator["playwright.Page"]:
    """A tab with the page of the build; an error of a script, or of a policy, fails the test."""
    with opened(build) as page:
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        errors: list[str] = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.goto(page.address)
        yield tab
        tab.close()
        assert not [error for error in errors if "status of 400" not in error]  # a refusal, shown in the page


def lines(build: Path) -> list[tuple[str, str, str | None]]:
    return [(one.decision, one.what, one.other) for one in read_decisions(Storage.at(build))]


def test_decisions_by_mouse_are_written_and_taken_back(tab: "playwright.Page", build: Path) -> None:
    tab.get_by_role("link", name="Faces", exact=True).click()
    card = tab.locator(".item").nth(1)
    face = card.get_attribute("data-subject")
    card.get_by_role("button", name="Drop").click()
    tab.get_by_text("written to overrides.csv, line 2").wait_for()
    assert lines(build) == [("drop", face, None)]
    assert card.get_by_text("waits for the next build").is_visible()
    card.get_by_role("button", name="take back").click()
    tab.get_by_text("Taken back").wait_for()
    assert lines(build) == []


def test_everything_goes_by_keyboard(tab: "playwright.Page", build: Path) -> None:
    tab.goto(tab.url.rstrip("/") + "/faces")
    cards = tab.locator(".item")
    one, two = (str(cards.nth(number).get_attribute("data-subject")) for number in (0, 1))
    cards.nth(0).focus()
    tab.keyboard.press("m")
    tab.get_by_text("Marked:").wait_for()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("s")
    tab.get_by_text("same: written").wait_for()
    tab.keyboard.press("k")
    tab.get_by_text("keep: written").wait_for()
    assert lines(build) == [("same", two, one), ("keep", two, None)]
    tab.keyboard.press("u")
    tab.get_by_text("Taken back").wait_for()
    assert lines(build) == [("same", two, one)]
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/details?id=*")
    tab.keyboard.press("/")
    tab.keyboard.type(one)
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/details?id={one}")


def test_a_filter_is_applied_at_once(tab: "playwright.Page") -> None:
    tab.goto(tab.url.rstrip("/") + "/pairs")
    tab.get_by_label("Order").select_option("-similarity")
    tab.wait_for_url("**/pairs?sort=-similarity")
    tab.get_by_role("searchbox", name="Search").fill("no such thing")
    tab.get_by_role("searchbox", name="Search").press("Enter")
    tab.get_by_text("No pair fits.").wait_for()
    assert "sort=-similarity" in tab.url


def test_a_slider_of_the_bench_degrades_the_face_at_once(tab: "playwright.Page") -> None:
    tab.goto(tab.url.rstrip("/") + "/degradation?recipe=bicubic_x8")
    tab.locator("#degraded[src]").wait_for()
    before = tab.locator("#figures").inner_text()
    tab.get_by_label("2. Noise", exact=True).check()
    tab.get_by_role("spinbutton", name="sigma, to").last.fill("60")
    tab.get_by_text("noise: my-bicubic-x8").or_(tab.locator("#yaml", has_text="my-bicubic-x8")).wait_for()
    assert tab.locator("#figures").inner_text() != before
    tab.get_by_label("Seed").fill("-1")
    tab.get_by_role("alert").wait_for()
    assert tab.get_by_role("button", name="Copy the YAML").is_disabled()
    tab.get_by_label("Seed").fill("0")
    tab.locator("#problem").wait_for(state="hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_it_fits_the_screen_and_can_be_read(tab: "playwright.Page", width: int, scheme: str) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    address = tab.url.rstrip("/")
    face = ""
    for path in (
        "/",
        "/faces",
        "/people",
        "/pairs",
        "/samples",
        "/degradation",
        "/decisions",
        "/details?id=",
    ):
        tab.goto(address + path + (face if path.endswith("=") else ""))
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path
        face = (
            face
            or (tab.locator(".item").first.get_attribute("data-subject") if path == "/faces" else "")
            or ""
        )
        contrast = tab.evaluate(CONTRAST)
        assert not [one for one in contrast if one[1] < 4.5], path


CONTRAST = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parts(colour).slice(0, 3).map((one) => one / 255)
    .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0.99) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("p, a, h1, h2, h3, dt, dd, span, button, label, legend, th, td, li, summary")]
    .filter((node) => node.checkVisibility())
    .filter((node) => [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim()))
    .map((node) => {
      const [one, two] = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a);
      return [node.textContent.trim().slice(0, 40), (one + 0.05) / (two + 0.05)];
    });
}"""
"""The contrast of each text with what is behind it, as WCAG 2 defines it."""
