"""Requests to a bench without its frame: a page is shown as its template and its values."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler
from jinja2 import ChoiceLoader, DictLoader, Environment, PackageLoader, StrictUndefined

from facerefs.pipeline import text

T = TypeVar("T")
_PIPELINE = Path(__file__).parents[3] / "pipeline"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'"
)
FRAME = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="token" content="t">
<title>{% block title %}{% endblock %}</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/report.css"><link rel="stylesheet" href="/static/explore.css">
{% block head %}{% endblock %}</head><body><main id="main">{% block main %}{% endblock %}</main>
{% block scripts %}{% endblock %}</body></html>"""


def render(template: str, values: Mapping[str, object]) -> str:
    """A page in the plainest frame, escaped as by `facerefs explore`."""
    environment = Environment(
        loader=ChoiceLoader(
            [DictLoader({"frame.html.j2": FRAME}), PackageLoader("facerefs.pipeline.explore", "templates")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=text.shown,
    )
    environment.filters["size"] = text.size
    return environment.get_template(template).render(values)


@web.middleware
async def _strict(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The policy of `facerefs explore`: no scripts and styles but its files."""
    response = await handler(request)
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def asked(
    add_routes: Callable[[web.Application], None], requests: Callable[[TestClient[Any, Any]], Awaitable[T]]
) -> T:
    """What `requests` returns, of a client of an application with these routes."""

    async def run() -> T:
        app = web.Application(middlewares=[_strict])
        add_routes(app)
        async with TestClient(TestServer(app)) as client:
            return await requests(client)

    return asyncio.run(run())


def shown(
    add_routes: Callable[[web.Application], None], path: str, look: Callable[[Any], None], width: int = 1280
) -> None:
    """Open a page in Chromium and look at it there: `look` gets the tab. An error of a script fails.

    Skips without Playwright or Chromium.
    """
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `dev`")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")

    def opened(address: str) -> list[str]:
        errors: list[str] = []
        with api.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            tab = browser.new_page(viewport={"width": width, "height": 900})
            tab.on("pageerror", lambda error: errors.append(str(error)))
            tab.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
            tab.goto(address)
            look(tab)
            browser.close()
        return errors

    def with_frame(app: web.Application) -> None:
        add_routes(app)
        app.router.add_get("/static/{name}", _static)

    async def requests(client: TestClient[Any, Any]) -> list[str]:
        return await asyncio.to_thread(opened, str(client.make_url(path)))

    errors = asked(with_frame, requests)
    assert not [error for error in errors if "status of 400" not in error]  # a refusal, shown in the page


async def _static(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    for folder in ("explore/static", "report/templates"):
        file = _PIPELINE / folder / name
        if file.is_file():
            kind = "text/javascript" if name.endswith(".js") else "text/css"
            return web.Response(body=file.read_bytes(), content_type=kind)
    return web.Response(content_type="text/css")
