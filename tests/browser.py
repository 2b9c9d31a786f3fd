"""Debian's Chromium for the tests of pages; without it they skip."""

import shutil
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def browser() -> "Iterator[playwright.Browser]":  # type: ignore[name-defined]  # noqa: F821
    """A browser that all tests of a process share: it takes seconds to start."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `dev`")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()
