"""The first page: the funnel, where each number leads to the rows that it counts, and what was decided."""

from collections.abc import Iterable, Mapping

from aiohttp import web

from facerefs.pipeline.dataset.funnel import FunnelStep
from facerefs.pipeline.explore.decisions import read_decisions
from facerefs.pipeline.explore.pages.site import Site, html, in_thread

_VIEW_OF = {
    "list": "photos",
    "fetch": "photos",
    "crawl": "photos",
    "dedupe": "photos",
    "analyse": "faces",
    "cluster": "faces",
    "select": "faces",
    "shard": "samples",
}
"""Where the rejected rows of each stage are listed; those of published splits are not."""


def add_routes(app: web.Application, site: Site) -> None:
    """Answer `/`."""

    async def overview(_: web.Request) -> web.Response:
        return html(await in_thread(lambda: site.render("overview.html.j2", _values(site))))

    app.router.add_get("/", overview)


def _values(site: Site) -> Mapping[str, object]:
    storage = site.build.storage
    steps, *others = site.build.funnels()
    there = [(other.address, theirs) for other, theirs in zip(site.build.others, others, strict=True)]
    decisions = read_decisions(storage)
    return {
        "here": "overview",
        "steps": [(step, _VIEW_OF.get(step.stage)) for step in steps],
        "widest": max((step.rows for step in steps), default=0) or 1,
        "sides": [(address, _side_by_side(steps, theirs)) for address, theirs in there],
        "decisions": decisions,
        "waiting": sum(not one.is_applied for one in decisions),
    }


def _side_by_side(
    here: Iterable[FunnelStep], there: Iterable[FunnelStep]
) -> list[tuple[str, FunnelStep | None, FunnelStep | None]]:
    """The stages of two builds, None where a build has not got one."""
    ours, theirs = ({step.stage: step for step in steps} for steps in (here, there))
    return [(stage, ours.get(stage), theirs.get(stage)) for stage in dict.fromkeys([*ours, *theirs])]
