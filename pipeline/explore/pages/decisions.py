"""The page of decisions, and the requests that add one or take one back."""

from aiohttp import web

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.explore.decisions import Decision, add_decision, read_decisions, remove_decision
from facerefs.pipeline.explore.explored_build import row_of
from facerefs.pipeline.explore.pages.posted import posted_object
from facerefs.pipeline.explore.pages.site import Site, html, in_thread

_NAMES = (
    ("faces", "id"),
    ("photos", "id"),
    ("photos", "key"),
    ("faces", "identity"),
    ("faces", "label"),
    ("photos", "label"),
)
"""Views and columns that a decision may be about."""
_TOO_EARLY = (
    ("faces", "id", ("analyse",)),
    ("photos", "id", ("list", "fetch", "crawl")),
    ("photos", "key", ("list", "fetch", "crawl")),
)
"""Stages that know no decisions but `drop`."""


def add_routes(app: web.Application, site: Site) -> None:
    """Answer `/decisions`, `/decisions/add` and `/decisions/remove`."""

    async def page(_: web.Request) -> web.Response:
        decisions = await in_thread(lambda: read_decisions(site.build.storage))
        values = {"here": "decisions", "decisions": decisions[::-1]}
        return html(site.render("decisions.html.j2", values))

    async def add(request: web.Request) -> web.Response:
        decision, what, other, comment = await _texts(request, "decision", "what", "other", "comment")
        await in_thread(lambda: _check_known(site, what, other))
        if decision != "drop":
            await in_thread(lambda: _check_in_time(site, what, other))
        line = await in_thread(lambda: add_decision(site.build.storage, decision, what, other, comment))
        added = Decision(line.line, line.decision, line.what, line.other, line.comment, is_applied=False)
        return web.json_response({"line": added.line, "text": added.text})

    async def remove(request: web.Request) -> web.Response:
        line, text = await _texts(request, "line", "text")
        if not line.isascii() or not line.isdigit() or len(line) > 9:
            raise UserError(f"the line {line[:40]!r} is no number")
        await in_thread(lambda: remove_decision(site.build.storage, int(line), text))
        return web.json_response({"removed": text})

    app.router.add_get("/decisions", page)
    app.router.add_post("/decisions/add", add)
    app.router.add_post("/decisions/remove", remove)


async def _texts(request: web.Request, *names: str) -> list[str]:
    """Some texts of a posted JSON object; empty where one is not given. Raises UserError if it is none."""
    given = await posted_object(request)
    if not all(isinstance(given.get(name, ""), str) for name in names):
        raise UserError("a decision is a JSON object of texts")
    return [given.get(name, "") for name in names]


def _check_known(site: Site, *texts: str) -> None:
    """Raise UserError for a text that is no face, photo or name of the build."""
    for text in filter(None, texts):
        views = ((site.build.view(name), column) for name, column in _NAMES)
        if not any(view and row_of(site.build.rows(view).rows, column, text) for view, column in views):
            raise UserError(f"{text[:200]!r} is no face, photo, label or person of this build")


def _check_in_time(site: Site, *texts: str) -> None:
    """Raise UserError for a face or photo that a limit left out, since the build would not obey."""
    for text in filter(None, texts):
        for name, column, stages in _TOO_EARLY:
            view = site.build.view(name)
            row = None if view is None else row_of(site.build.rows(view).rows, column, text)
            if row is not None and row["stage"] in stages:
                raise UserError(
                    f"{row['stage']} left {text[:200]!r} out ({row['reason']}), which no line brings back: change its "
                    "settings instead"
                )
