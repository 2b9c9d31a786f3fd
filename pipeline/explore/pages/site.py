"""What every page needs: the build, its pictures, the templates."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

from facerefs.pipeline.explore.explored_build import ExploredBuild
from facerefs.pipeline.explore.page_template import Render
from facerefs.pipeline.explore.pictures import Pictures

Value = TypeVar("Value")


@dataclass(frozen=True)
class Site:
    """What the pages show. other_pictures: of the second of two builds that are compared."""

    build: ExploredBuild
    pictures: Pictures
    other_pictures: Pictures | None
    render: Render


async def in_thread(work: Callable[[], Value]) -> Value:
    """The result of work that reads files or computes, while other requests are answered."""
    return await asyncio.to_thread(work)


def html(page: str, status: int = 200) -> web.Response:
    """A page as an answer."""
    return web.Response(text=page, content_type="text/html", charset="utf-8", status=status)
