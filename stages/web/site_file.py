"""A small file at a fixed path of every origin, such as robots.txt: fetched once, parsed, and cached for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from yarl import URL

from facerefs.schemas.reject import Reject
from facerefs.stages.web.address import WebError, join_url
from facerefs.stages.web.client import Answer

Get = Callable[[URL], Awaitable[Answer]]
"""One GET of a URL, with its limits and rate limits applied. Raises WebError."""

MAX_REDIRECTS = 5  # RFC 9309, section 2.3.1.2
DAY_S = 86_400.0
MINUTE_S = 60.0
_MAX_WEIGHT = 200_000
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OF_THE_HOST = frozenset(
    {
        *(Reject.PRIVATE_ADDRESS, Reject.HOST_UNKNOWN, Reject.CONNECT_FAILED, Reject.TLS),
        *(Reject.TIMEOUT, Reject.CONNECTION_LOST, Reject.HOST_DOWN),
    }
)


@dataclass(frozen=True, eq=False)
class SiteAnswer:
    """What an origin answered to the request for its file: the last HTTP status, or None if there was no answer."""

    status: int | None
    body: bytes
    detail: str  # one line: the file's URL and what was found there
    cause: Reject | None = None  # why the origin gave no answer, if that holds for every request to it


class SiteRules(Protocol):
    """The rules parsed from a file; cached for `ttl_s` seconds, in about `weight` times 500 bytes of memory."""

    @property
    def ttl_s(self) -> float: ...
    @property
    def weight(self) -> int: ...


Rules = TypeVar("Rules", bound=SiteRules)


class SiteFiles(Generic[Rules]):
    """The file at `path` of each origin (scheme, host and port), parsed by `read`.

    Many calls at the same time make one request to an origin. The least recently used files are dropped first.
    """

    def __init__(
        self,
        get: Get,
        path: str,
        read: Callable[[SiteAnswer], Rules],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._get = get
        self._path = path
        self._read = read
        self._clock = clock
        self._kept: dict[URL, tuple[float, Rules]] = {}  # until when; least recently used first
        self._weight = 0
        self._coming: dict[URL, asyncio.Task[Rules]] = {}

    async def rules(self, url: URL) -> Rules:
        """The rules of the origin of a URL, from the cache or fetched."""
        origin = url.origin()
        kept = self._kept.pop(origin, None)
        if kept is not None:
            if kept[0] > self._clock():
                self._kept[origin] = kept
                return kept[1]
            self._weight -= kept[1].weight
        coming = self._coming.get(origin)
        if coming is None:  # a task of its own: the first caller may be cancelled while others still wait
            coming = self._coming[origin] = asyncio.create_task(self._fetch(origin))
        return await asyncio.shield(coming)

    async def _fetch(self, origin: URL) -> Rules:
        try:
            rules = self._read(await self._ask(origin))
        finally:
            del self._coming[origin]
        self._kept[origin] = (self._clock() + rules.ttl_s, rules)
        self._weight += rules.weight
        while self._weight > _MAX_WEIGHT and len(self._kept) > 1:
            oldest = next(iter(self._kept))
            self._weight -= self._kept.pop(oldest)[1].weight
        return rules

    async def _ask(self, origin: URL) -> SiteAnswer:
        first = url = origin.join(URL(self._path))
        try:
            for _ in range(MAX_REDIRECTS + 1):
                answer = await self._get(url)
                if answer.status not in _REDIRECTS:
                    return SiteAnswer(answer.status, answer.body, f"{first}: HTTP {answer.status}")
                if "Location" not in answer.headers:
                    return SiteAnswer(answer.status, b"", f"{first}: a redirect to nowhere")
                url = join_url(url, answer.headers["Location"])
        except WebError as error:
            is_general = url.origin() == origin and error.reject in _OF_THE_HOST
            return SiteAnswer(None, b"", f"{first}: {error}", error.reject if is_general else None)
        return SiteAnswer(None, b"", f"{first}: more than {MAX_REDIRECTS} redirects")
