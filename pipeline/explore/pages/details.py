"""The page of one photo, face, sample or person, with everything that is known of it, as `facerefs trace` has it."""

import json
from collections.abc import Mapping

from aiohttp import web

from facerefs.pipeline.explore.decisions import read_decisions
from facerefs.pipeline.explore.explored_build import row_of
from facerefs.pipeline.explore.pages.lists import by_name
from facerefs.pipeline.explore.pages.site import Site, html, in_thread
from facerefs.pipeline.explore.views.view import Card
from facerefs.pipeline.lineage.asked import KINDS, asked_for
from facerefs.pipeline.lineage.backward import trace_of
from facerefs.pipeline.lineage.trace import Kind, Trace
from facerefs.pipeline.text import web_link

_MOST = 24  # photos and faces that are shown of each


def add_routes(app: web.Application, site: Site) -> None:
    """Answer `/details?id=...` and, for programs, `/details.json?id=...`."""

    async def page(request: web.Request) -> web.Response:
        return html(await in_thread(lambda: _page(site, _trace(site, request.query))))

    async def as_json(request: web.Request) -> web.Response:
        trace = await in_thread(lambda: _trace(site, request.query))
        return web.json_response(
            trace.tree(), dumps=lambda tree: json.dumps(tree, default=str, ensure_ascii=False)
        )

    app.router.add_get("/details", page)
    app.router.add_get("/details.json", as_json)


def _trace(site: Site, query: Mapping[str, str]) -> Trace:
    kind: Kind | None = next((one for one in KINDS if one == query.get("as")), None)
    storage = site.build.storage
    return trace_of(storage, asked_for(storage, query.get("id", "")[:4000], kind))


def _page(site: Site, trace: Trace) -> str:
    decisions = by_name(read_decisions(site.build.storage))
    names = [face.id for face in trace.faces] + [photo.key for photo in trace.photos]
    names += [str(photo.image["id"]) for photo in trace.photos if photo.image is not None]
    links = {photo.key: _link(photo.source) for photo in trace.photos}
    return site.render(
        "details.html.j2",
        {
            "here": "details",
            "trace": trace,
            "cards": [_card(site, face.id) for face in trace.faces[:_MOST]],
            "photos": trace.photos[:_MOST],
            "links": links,
            "most": _MOST,
            "decisions": [one for name in dict.fromkeys(names) for one in decisions.get(name, [])],
        },
    )


def _link(source: Mapping[str, object] | None) -> str | None:
    """The page of a photo, else its URL, if it leads to the web."""
    addresses = [] if source is None else [source["page"], source["url"]]
    return next((link for link in map(web_link, (str(one) for one in addresses if one)) if link), None)


def _card(site: Site, face: str) -> Card | None:
    view = site.build.view("faces")
    row = None if view is None else row_of(site.build.rows(view).rows, "id", face)
    return None if view is None or row is None else view.card(row)
