"""The pages of lists: photos, faces, people, pairs, copies, samples; one page of cards with search and filters."""

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from facerefs.pipeline.explore.decisions import Decision, read_decisions
from facerefs.pipeline.explore.listing.query import NOTHING, PAGE_ROWS, read_query
from facerefs.pipeline.explore.pages.site import Site, html, in_thread
from facerefs.pipeline.explore.views.view import ACCEPTED, Card, View


def add_routes(app: web.Application, site: Site) -> None:
    """Answer `/NAME` for each view."""
    for view in site.build.views:
        app.router.add_get(f"/{view.name}", _handler(site, view))


def _handler(site: Site, view: View) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return html(await in_thread(lambda: _page(site, view, list(request.query.items()))))

    return answer


def _page(site: Site, view: View, given: list[tuple[str, str]]) -> str:
    query = read_query(view, given)
    found = site.build.rows(view).find(query)
    cards = [view.card(row) for row in found.rows]
    decisions = by_name(read_decisions(site.build.storage))
    return site.render(
        "list.html.j2",
        {
            "here": view.name,
            "view": view,
            "query": query,
            "found": found,
            "cards": [(card, decided(card, decisions)) for card in cards],
            "first": query.page * PAGE_ROWS + 1,
            "nothing": NOTHING,
            "accepted": ACCEPTED,
        },
    )


def by_name(decisions: Iterable[Decision]) -> dict[str, list[Decision]]:
    """The lines of `overrides.csv` by the faces, photos and names in them."""
    found: dict[str, list[Decision]] = {}
    for one in decisions:
        for name in {one.what, one.other or one.what}:
            found.setdefault(name, []).append(one)
    return found


def decided(card: Card, decisions: dict[str, list[Decision]]) -> list[Decision]:
    """The lines that are about what a card shows: about its subject, or about both of its two faces."""
    if card.subject is not None:
        return decisions.get(card.subject, [])
    sides = {choice.what for choice in card.choices} | {
        choice.other for choice in card.choices if choice.other
    }
    return [
        one for side in sorted(sides)[:1] for one in decisions.get(side, []) if {one.what, one.other} == sides
    ]
