"""What the page's scripts post: JSON objects of bounded size."""

import json
from typing import Any

from aiohttp import web

from facerefs.pipeline.errors import UserError

MOST_BYTES = 64 << 10


async def posted_object(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request. Raises UserError if it is none, or too large."""
    data = await request.content.read(MOST_BYTES + 1)
    while len(data) <= MOST_BYTES and not request.content.at_eof():
        data += await request.content.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UserError(f"a request has at most {MOST_BYTES >> 10} KiB")
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise UserError("a request is a JSON object")
    return given
