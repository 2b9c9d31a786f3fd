"""Fetches one URL to its photo or its reject reason: attempts, redirects, robots.txt and opt-outs."""

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from multidict import CIMultiDictProxy
from yarl import URL

from facerefs.schemas.reject import Reject
from facerefs.stages.fetch import Fetch
from facerefs.stages.images.decode import DecodeError, sniff
from facerefs.stages.web.address import Resolve, WebError, check_url, join_url
from facerefs.stages.web.client import Answer, Client, retry_after_s
from facerefs.stages.web.host_health import Failure, HostHealth
from facerefs.stages.web.memory_budget import MemoryBudget, MemoryReservation
from facerefs.stages.web.optout import opt_out_statement
from facerefs.stages.web.politeness import RequestThrottle
from facerefs.stages.web.rate_limiter import RateLimiter
from facerefs.stages.web.robots import RobotsRules
from facerefs.stages.web.stats import FetchStats
from facerefs.stages.web.tdmrep import TdmRules

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_STATUSES = {
    **dict.fromkeys((401, 402, 403, 407, 451), Reject.FORBIDDEN),
    **dict.fromkeys((404, 410), Reject.NOT_FOUND),
    429: Reject.RATE_LIMITED,
    **dict.fromkeys((408, 425, *range(500, 600)), Reject.SERVER_ERROR),
}
_BUSY = frozenset({429, 503})
_NO_ANSWER = frozenset({Reject.HOST_UNKNOWN, Reject.CONNECT_FAILED, Reject.CONNECTION_LOST, Reject.TIMEOUT})
_MAX_SITE_FILE_BYTES = 512 << 10  # of robots.txt and the like; RFC 9309 asks for 500 KiB at least
_LAST_CHANCE_WAITS = 5  # times as long as before may a host ask for at the last chance
_SHORT_S = 0.05
_MAX_DETAIL = 300
_MAX_HEADER = 1000


@dataclass
class Download:
    """The result for a URL: a row of `DOWNLOADS`, its bytes in `body`; `unchanged` if the earlier bytes stay."""

    key: str
    url: str
    final_url: str | None = None
    status: int | None = None
    attempts: int = 0
    ms: int = 0
    fetched_at: str = ""
    content_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    robots: str | None = None
    opt_out: str | None = None
    sha256: str | None = None
    reject: Reject | None = None
    reject_detail: str | None = None
    body: bytes | None = None
    unchanged: bool = False


class Fetcher:
    """Fetches photos for one worker: as many at a time as its connections and its memory allow."""

    def __init__(self, settings: Fetch, rate_limiter: RateLimiter, resolve: Resolve | None = None) -> None:
        self.stats = FetchStats()
        self._settings = settings
        self._client = Client(settings.limits, resolve, settings.ca_file)
        self._throttle = RequestThrottle(rate_limiter)
        self._connections = asyncio.Semaphore(settings.connections)
        self._memory = MemoryBudget(settings.buffer_bytes)
        self._health = HostHealth(settings.host_failures, settings.host_patience_s, settings.backoff_s)
        # A robots.txt that could not be fetched is not remembered for longer: its host is paused anyway.
        self._robots = RobotsRules(self._site_file, retry_s=settings.backoff_s / 2)
        self._tdm_rules = TdmRules(self._site_file)

    async def __aenter__(self) -> "Fetcher":
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.__aexit__(None, None, None)

    def begin_last_chance(self) -> None:
        """From now on wait for hosts that fail, as long as their patience lasts: nothing else is left to do."""
        self._health.begin_last_chance(
            self._settings.attempts, _LAST_CHANCE_WAITS * self._settings.longest_wait_s
        )
        self.stats.forget_transient()

    async def fetch(
        self,
        source: Mapping[str, Any],
        keep: Callable[[Download], None],
        previous: Mapping[str, Any] | None = None,
    ) -> None:
        """Fetch the photo of a row of `SOURCES` and pass it to `keep`; after that its memory counts as free.

        With `previous`, an accepted row of `DOWNLOADS`, the host sends the photo only if it has changed since.
        """
        download = Download(key=source["key"], url=source["url"])
        conditions = _conditions(previous)
        memory = MemoryReservation(self._memory)
        try:
            try:
                url = check_url(source["url"])
                answer = await self._answer(url, download, conditions, memory)
                _accept(download, answer, source["sha256"], conditional=bool(conditions))
            except (WebError, DecodeError) as error:
                download.reject, download.reject_detail = error.reject, error.detail[:_MAX_DETAIL]
            download.fetched_at = datetime.now(UTC).isoformat(timespec="seconds")
            self.stats.record_result(download.reject, len(download.body or b""))
            keep(download)
        finally:
            memory.free()

    async def _answer(
        self, url: URL, download: Download, conditions: Mapping[str, str], memory: MemoryReservation
    ) -> Answer:
        """The answer of the first attempt that succeeds. Raises the WebError or DecodeError of the last attempt."""
        failed: WebError | None = None
        while True:
            download.attempts += 1
            try:
                return await self._attempt(url, download, conditions, memory)
            except WebError as error:
                memory.free()
                if error.reject is Reject.HOST_DOWN and self._is_others_fault(download):
                    download.attempts -= 1
                    await asyncio.sleep(max(self._settings.backoff_s, _SHORT_S))
                    continue
                if error.reject is Reject.HOST_DOWN and failed is not None:
                    download.attempts -= 1
                    raise failed from None  # why it failed itself says more
                wait_s = self._wait_s(url, download.attempts, error)
                if wait_s is None:
                    raise
                failed = error
            await asyncio.sleep(wait_s)

    def _wait_s(self, url: URL, attempt: int, error: WebError) -> float | None:
        """Seconds until the next attempt: exponential backoff with jitter, or what the host asks for; None: stop.

        At the last chance the attempts do not count while it is the host that fails.
        """
        asked_s = error.retry_after_s or 0.0
        if not error.reject.transient or error.reject is Reject.HOST_DOWN or asked_s > self._longest_wait_s:
            return None
        is_hosts_fault = self._health.is_last_chance and self._health.is_failing(_site(url))
        if attempt >= self._settings.attempts and not is_hosts_fault:
            return None
        longest_s = self._health.longest_pause_s if is_hosts_fault else self._settings.longest_wait_s
        backoff_s: float = self._settings.backoff_s * 2 ** min(attempt - 1, 30)
        backoff_s *= random.uniform(0.5, 1.5)  # noqa: S311 (no secret)
        return max(asked_s, min(backoff_s, longest_s))

    @property
    def _longest_wait_s(self) -> float:
        """The longest wait that a host may ask for."""
        waits = _LAST_CHANCE_WAITS if self._health.is_last_chance else 1
        return waits * self._settings.longest_wait_s

    async def _attempt(
        self, url: URL, download: Download, conditions: Mapping[str, str], memory: MemoryReservation
    ) -> Answer:
        """The answer for the URL after its redirects, each hop checked like the first."""
        seen = {url}
        for _ in range(self._settings.max_redirects + 1):
            download.final_url, download.status = str(url), None
            crawl_delay_s = await self._check_permission(url, download)
            async with self._throttle.turn(_host(url), crawl_delay_s), self._connections:
                self._check_not_blocked(_site(url))
                answer = await self._hop(url, download, conditions, memory)
            if answer.status not in _REDIRECTS:
                return answer
            if "Location" not in answer.headers:
                raise WebError(Reject.BAD_ANSWER, "a redirect to nowhere", answer.status)
            url = join_url(url, answer.headers["Location"])
            if url in seen:
                raise WebError(Reject.TOO_MANY_REDIRECTS, f"in a circle, to {url}", answer.status)
            seen.add(url)
        raise WebError(
            Reject.TOO_MANY_REDIRECTS, f"more than {self._settings.max_redirects}", download.status
        )

    async def _check_permission(self, url: URL, download: Download) -> float:
        """The crawl-delay of the host in seconds. Raises WebError if robots.txt or an opt-out forbids the URL."""
        self._check_not_blocked(_site(url))
        crawl_delay_s = 0.0
        download.robots = "ignored"
        if self._settings.respect_robots:
            decision = await self._robots.decision(url)
            download.robots, crawl_delay_s = decision.robots, decision.crawl_delay_s
            if decision.robots == "disallowed":
                raise WebError(Reject.ROBOTS, decision.detail)
            if decision.robots == "unknown":
                raise WebError(decision.cause or Reject.ROBOTS_UNKNOWN, decision.detail)
        self._note_opt_out(await self._tdm_rules.reservation(url), download)
        return crawl_delay_s

    def _check_not_blocked(self, site: str) -> None:
        """Raise WebError if the site may not be asked for now."""
        reason = self._health.block_reason(site)
        if reason is not None:
            raise WebError(Reject.HOST_DOWN, reason)

    def _is_others_fault(self, download: Download) -> bool:
        """Whether a URL was ended only since another port of its host is blocked, with which it shares the rate."""
        return self._health.block_reason(_site(URL(download.final_url or download.url))) is None

    async def _record_failure(self, url: URL, began_s: float, why: str, failure: Failure) -> None:
        """Count a failure of the site, and pause its host; if that blocks it, end the waiting of all requests to it."""
        pause_s = self._health.record_failure(_site(url), began_s, why, failure)
        self._give_up_if_blocked(url)
        if pause_s:
            await self._throttle.pause(_host(url), pause_s)

    def _give_up_if_blocked(self, url: URL) -> None:
        reason = self._health.block_reason(_site(url))
        if reason is not None:
            self._throttle.give_up(_host(url), lambda: WebError(Reject.HOST_DOWN, reason))

    async def _hop(
        self, url: URL, download: Download, conditions: Mapping[str, str], memory: MemoryReservation
    ) -> Answer:
        host, started = _host(url), time.monotonic()
        try:
            answer = await self._client.hop(
                url,
                self._settings.max_bytes,
                headers=conditions,
                check_headers=lambda found: self._check_headers(found, download),
                check_start=sniff,
                memory=memory,
            )
        except WebError as error:
            download.status = 200 if error.reject is Reject.OPT_OUT else error.status
            if error.reject in _NO_ANSWER:
                await self._record_failure(url, started, error.detail, Failure.UNANSWERED)
            raise
        finally:
            seconds = time.monotonic() - started
            download.ms += round(seconds * 1000)
            self.stats.record_request(host, seconds)
        download.status = answer.status
        await self._check_status(answer, url, started)
        self._check_headers(answer.headers, download)
        return answer

    async def _check_status(self, answer: Answer, url: URL, began_s: float) -> None:
        """Raise WebError for what is neither a photo nor a redirect; pause or block a host that fails."""
        asked_s = retry_after_s(answer.headers, time.time())
        detail = f"HTTP {answer.status}" + ("" if asked_s is None else f", retry after {asked_s:.0f} s")
        await self._record_status(answer.status, url, began_s, detail, asked_s)
        if answer.status in (200, 304) or answer.status in _REDIRECTS:
            return
        raise WebError(_STATUSES.get(answer.status, Reject.HTTP_STATUS), detail, answer.status, asked_s)

    async def _record_status(
        self, status: int, url: URL, began_s: float, detail: str, asked_s: float | None
    ) -> None:
        """Count an answer for or against the host; pause or block the host if it fails."""
        if status != 429 and status < 500:
            self._health.record_answer(_site(url))
            return
        failure = Failure.BUSY if status in _BUSY else Failure.ERROR
        if asked_s is None or failure is Failure.ERROR:
            await self._record_failure(url, began_s, detail, failure)
            return
        if asked_s > self._longest_wait_s:
            self._health.block(_site(url), asked_s, f"{_site(url)} asks to be left alone: {detail}")
            self._give_up_if_blocked(url)
        else:
            await self._record_failure(url, began_s, detail, failure)
        # Other workers know nothing of the block: they ask again after the longest wait, and do not wait for days.
        await self._throttle.pause(_host(url), min(asked_s, self._longest_wait_s))

    def _check_headers(self, headers: CIMultiDictProxy[str], download: Download) -> None:
        """Raise WebError if the headers opt out, before the photo is sent."""
        self._note_opt_out(opt_out_statement(headers), download)

    def _note_opt_out(self, statement: str | None, download: Download) -> None:
        """Record an opt-out. Raises WebError if opt-outs are respected."""
        if statement is None:
            return
        download.opt_out = statement
        if self._settings.respect_opt_outs:
            raise WebError(Reject.OPT_OUT, statement)

    async def _site_file(self, url: URL) -> Answer:
        """The answer for robots.txt or tdmrep.json, under the limits of photos. Raises WebError.

        A host that is busy is asked again: else one 503 would decide about all its photos.
        """
        for attempt in range(1, self._settings.attempts):
            answer = await self._site_file_once(url)
            if _STATUSES.get(answer.status) not in (Reject.RATE_LIMITED, Reject.SERVER_ERROR):
                return answer
            await asyncio.sleep(min(self._settings.backoff_s * 2 ** (attempt - 1), self._longest_wait_s))
        return await self._site_file_once(url)

    async def _site_file_once(self, url: URL) -> Answer:
        self._check_not_blocked(_site(url))
        async with self._throttle.turn(_host(url)), self._connections:
            self._check_not_blocked(_site(url))
            began_s = time.monotonic()
            try:
                answer = await self._client.hop(url, _MAX_SITE_FILE_BYTES)
            except WebError as error:
                if error.reject in _NO_ANSWER:
                    await self._record_failure(url, began_s, error.detail, Failure.UNANSWERED)
                raise
            asked_s = retry_after_s(answer.headers, time.time())
            await self._record_status(answer.status, url, began_s, f"{url}: HTTP {answer.status}", asked_s)
            return answer


def _accept(download: Download, answer: Answer, expected_sha256: str | None, conditional: bool) -> None:
    """Put the bytes of the last answer into `download`, or mark them unchanged. Raises WebError for other answers."""
    if answer.status == 304 and conditional:
        download.unchanged = True
        return
    if answer.status != 200:
        raise WebError(Reject.HTTP_STATUS, f"HTTP {answer.status}", answer.status)
    if not answer.body:
        raise WebError(Reject.EMPTY, "0 bytes", answer.status)
    download.content_type = _header(answer, "Content-Type")
    download.etag = _header(answer, "ETag")
    download.last_modified = _header(answer, "Last-Modified")
    download.sha256 = hashlib.sha256(answer.body).hexdigest()
    if expected_sha256 is not None and expected_sha256.lower() != download.sha256:
        raise WebError(Reject.WRONG_HASH, f"{download.sha256}, not {expected_sha256}", answer.status)
    download.body = answer.body


def _header(answer: Answer, name: str) -> str | None:
    """A header that can be stored and sent back; None if it is absent, too long, or not ASCII."""
    value = answer.headers.get(name)
    return value if value is not None and value.isascii() and len(value) <= _MAX_HEADER else None


def _conditions(previous: Mapping[str, Any] | None) -> dict[str, str]:
    """Headers that ask for a photo only if it has changed (RFC 9110, 13.1)."""
    if previous is None:
        return {}
    headers = {"If-None-Match": previous["etag"], "If-Modified-Since": previous["last_modified"]}
    return {name: value for name, value in headers.items() if value}


def _host(url: URL) -> str:
    return str(url.host or "")


def _site(url: URL) -> str:
    """Host and port: servers at other ports of a host may be well when this one is not."""
    return str(url.host_port_subcomponent or "")
