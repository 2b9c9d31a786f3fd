"""Debian's Chromium for the tests of pages; without it they skip."""

import shutil
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def browser() -> "Iterator[playwright.Browser]":  # type: ignore[name-defined]  # noqa: F821
    """A browser for the tests of a file: it takes seconds to start.

    Not longer: while it runs, so does a loop in this thread, and `asyncio.run` refuses to start another.
    """
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `dev`")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()
