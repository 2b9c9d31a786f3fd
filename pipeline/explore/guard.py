"""What keeps the page to the person who started it: this machine, the token of its address, no other sites.

- Host: a name that leads to this machine by DNS (DNS rebinding) is refused, since only our own addresses are accepted.
- Token: the address that the command prints holds it; a cookie keeps it, which other sites cannot send (SameSite).
- Origin and header: whatever changes something must come from our own page.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

TOKEN_HEADER = "X-Token"  # noqa: S105 - a name
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Guard:
    """Who may ask. token: opens the page. page_token: in the page, and sent back with each change."""

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    page_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def hosts(self) -> tuple[str, ...]:
        """The values of the header Host that are ours."""
        return tuple(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost"))

    @property
    def cookie(self) -> str:
        """The name of the cookie: cookies do not know ports, so that pages on several ports need several names."""
        return f"facerefs-{self.port}"

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def refusal(self, request: web.Request) -> str | None:
        """Why a request is refused, as a sentence; None if it is not."""
        if request.headers.get("Host", "") not in self.hosts:
            return "This page answers only to its own address on this machine."
        if not _equal(request.cookies.get(self.cookie), self.token):
            return "Open the address that `facerefs explore` printed: it holds the token of this page."
        if request.method in _READS:
            return None
        if request.headers.get("Origin") not in {f"http://{host}" for host in self.hosts}:
            return "Requests that come from other pages are refused."
        if not _equal(request.headers.get(TOKEN_HEADER), self.page_token):
            return "The page is of an earlier start of `facerefs explore`: load it again."
        return None


def guarded(guard: Guard) -> Middleware:
    """A middleware that refuses what the guard refuses, and sends the headers with every answer."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await _answered(guard, request, handler)
        response.headers.update(HEADERS)
        return response

    return middleware


async def _answered(guard: Guard, request: web.Request, handler: Handler) -> web.StreamResponse:
    opens = _equal(request.query.get("token"), guard.token)
    if opens and request.method in _READS and request.headers.get("Host", "") in guard.hosts:
        return _with_cookie(guard, request)
    refusal = guard.refusal(request)
    if refusal is not None:
        return web.Response(status=403, text=f"{refusal}\n")
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.Response(status=error.status, text=f"{error.reason}\n")


def _with_cookie(guard: Guard, request: web.Request) -> web.Response:
    """The same page without the token in its address, so that it is neither in the history nor on a screenshot."""
    there = request.rel_url.without_query_params("token")
    response = web.Response(status=303, headers={"Location": str(there)})
    response.set_cookie(guard.cookie, guard.token, httponly=True, samesite="Strict", path="/")
    return response


def _equal(given: str | None, wanted: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ; headers may hold any byte."""
    return given is not None and secrets.compare_digest(
        given.encode(errors="surrogateescape"), wanted.encode()
    )
