"""A client of web APIs that answer in JSON: one request at a time, with pauses, and retries while the API is busy."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from yarl import URL

from facerefs.schemas.reject import Reject
from facerefs.stages.sources.lists.remote import shown_place, without_secrets
from facerefs.stages.sources.source import SourceError
from facerefs.stages.web.address import WebError, check_url
from facerefs.stages.web.client import Answer, Client, retry_after_s
from facerefs.stages.web.limits import WebLimits

_MAX_BYTES = 16 << 20
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip"}
_BUSY = frozenset({408, 425, 429, *range(500, 600)})
_NO_HOST = frozenset({Reject.HOST_UNKNOWN, Reject.CONNECT_FAILED})
_WAYS_OUT = {
    401: "it wants to be used with a key, which we do not have",
    403: "it may want a User-Agent that names a contact, or does not want us at all",
    404: "is that the address of its API?",
}


class Api:
    """A client of APIs, used as `with Api(limits) as api`; one request at a time, on one event loop.

    Before each request it waits until `spacing_s` seconds have passed since the last answer. While the API is busy
    (HTTP 408, 425, 429 and 5xx, a timeout, a lost connection) a request is sent up to `attempts` times, each time after
    a longer pause, or after the one that the API asks for (Retry-After) if that is longer. If that is more than
    `longest_wait_s`, there is no further attempt, and neither if the first connection to a host fails.
    `ways_out`: for an HTTP status, what the user can do about it.
    """

    def __init__(
        self,
        limits: WebLimits,
        *,
        spacing_s: float = 1.0,
        attempts: int = 8,
        longest_wait_s: float = 300.0,
        ways_out: Mapping[int, str] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._spacing_s = spacing_s
        self._attempts = attempts
        self._longest_wait_s = longest_wait_s
        self._ways_out = {**_WAYS_OUT, **(ways_out or {})}
        self._sleep = sleep
        self._clock = clock
        self._free_at = clock()
        self._reached = set[str]()  # hosts

    def __enter__(self) -> "Api":
        self._loop = asyncio.Runner()
        try:
            self._client = self._loop.run(self._connected())
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._loop.run(self._client.__aexit__(None, None, None))
        finally:
            self._loop.close()

    def get_json(
        self,
        url: str,
        parameters: Mapping[str, str],
        busy: Callable[[dict[str, Any]], str | None] = lambda _: None,
    ) -> dict[str, Any]:
        """The JSON object that the API answers for `url` with these parameters.

        `busy` returns why an answer means "busy", for APIs that say so in the JSON. Raises SourceError for an answer
        that refuses, is not a JSON object or is larger than 16 MB, and if the API stays busy.
        """
        try:
            address = check_url(url).update_query(parameters)
        except WebError as error:
            why = without_secrets(error.detail, url)
            raise SourceError(f"{shown_place(url)} is not the address of an API: {why}") from None
        return self._loop.run(self._answered(address, busy))

    async def _connected(self) -> Client:
        client = Client(self._limits)
        await client.__aenter__()
        return client

    async def _answered(self, url: URL, busy: Callable[[dict[str, Any]], str | None]) -> dict[str, Any]:
        for attempt in range(1, self._attempts + 1):
            await self._sleep(max(0.0, self._free_at - self._clock()))
            try:
                return await self._attempt(url, busy)
            except _BusyError as error:
                why = str(error)
                wait_s = self._wait_s(attempt, error, url)
            finally:
                self._free_at = self._clock() + self._spacing_s
            if attempt < self._attempts:
                await self._sleep(wait_s)
        raise SourceError(
            f"{url.host} stays busy: {self._attempts} attempts, the last one answered by {why}; try again later"
        )

    def _wait_s(self, attempt: int, error: "_BusyError", url: URL) -> float:
        """Seconds until the next attempt. Raises SourceError if the API asks for more than `longest_wait_s`."""
        asked_s = error.asked_s or 0.0
        if asked_s > self._longest_wait_s:
            raise SourceError(
                f"{url.host} asks to be left alone for {asked_s:.0f} seconds ({error}): try again after that"
            ) from None
        backoff_s = 2.0 ** (attempt - 1) * random.uniform(1.0, 1.5)  # noqa: S311 (no secret)
        return max(asked_s, min(backoff_s, self._longest_wait_s))

    async def _attempt(self, url: URL, busy: Callable[[dict[str, Any]], str | None]) -> dict[str, Any]:
        host = url.host or ""
        try:
            answer = await self._client.hop(url, _MAX_BYTES, headers=_HEADERS)
        except WebError as error:
            if error.reject in _NO_HOST and host not in self._reached:
                raise SourceError(f"cannot reach {host}: {error.reject.sentence} ({error.detail})") from None
            self._reached.add(host)
            if error.reject.transient or error.status in _BUSY:
                raise _BusyError(f"{error.reject} ({error.detail})", error.retry_after_s) from None
            raise SourceError(_why_unreachable(url, error)) from None
        self._reached.add(host)
        asked_s = retry_after_s(answer.headers, time.time())
        if answer.status in _BUSY:
            raise _BusyError(f"HTTP {answer.status}", asked_s)
        if answer.status != 200:
            raise SourceError(self._why_refused(url, answer))
        content = _json_object(url, answer.body)
        why = busy(content)
        if why is not None:
            raise _BusyError(why, asked_s)
        return content

    def _why_refused(self, url: URL, answer: Answer) -> str:
        if 300 <= answer.status < 400:
            return (
                f"{url.with_query(None)} is not the address of an API: it redirects (HTTP {answer.status}) "
                f"to {shown_place(answer.headers.get('Location', 'nowhere'))}"
            )
        way_out = self._ways_out.get(answer.status, f"it was asked for {url.with_query(None)}")
        return f"{url.host} refuses to answer (HTTP {answer.status}): {way_out}"


class _BusyError(Exception):
    """The API is busy; it may be asked again after `asked_s` seconds, if it gives a number."""

    def __init__(self, why: str, asked_s: float | None) -> None:
        super().__init__(why)
        self.asked_s = asked_s


def _why_unreachable(url: URL, error: WebError) -> str:
    way_out = "; --allow-private-hosts lets it pass" if error.reject == Reject.PRIVATE_ADDRESS else ""
    return f"cannot ask {url.host}: {error.reject.sentence} ({error.detail}){way_out}"


def _json_object(url: URL, body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
        if b"\\u" in body:  # half a surrogate pair is legal in JSON, but no text
            content = json.loads(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise SourceError(
            f"{url.host} answered with something else than a JSON object: "
            f"is {url.with_query(None)} the address of its API?"
        )
    return content
