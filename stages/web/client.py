"""One HTTP hop: a GET that ends in an answer or in a reject reason, within its limits, whatever the host does."""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import MappingProxyType, TracebackType
from typing import Protocol, Self

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from facerefs.schemas.reject import Reject
from facerefs.stages.web.address import Resolve, WebError
from facerefs.stages.web.body import BodyBuffer, inflater_for, too_many_bytes_error
from facerefs.stages.web.connection import (
    CheckedConnector,
    CheckedResolver,
    StaleConnectionError,
    SystemResolver,
)
from facerefs.stages.web.limits import WebLimits
from facerefs.stages.web.transfer_errors import TRANSFER_ERRORS, transfer_error

ACCEPT = "image/jpeg,image/png,image/webp,image/avif,image/*;q=0.8,*/*;q=0.1"
MAX_RETRY_AFTER_S = 86_400.0
_MAX_HEADER_FIELDS = 128
_READ_BYTES = 1 << 16  # a connection holds at most twice as much, and one read, that is not reserved
_DRAINED_BYTES = 1 << 16
_DRAIN_S = 1.0
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Answer:
    """What a host answered; the body is empty unless the status is 200."""

    url: URL
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class Memory(Protocol):
    """The memory that a body may take; `MemoryReservation` is one."""

    def take_now(self, count: int) -> bool:
        """Take bytes if that needs no waiting; returns whether they were taken."""

    async def take(self, count: int) -> None:
        """Wait for bytes and take them."""


class Client:
    """Makes single GETs over connections that are kept alive; one per worker, used as `async with`.

    resolve: host name -> addresses; the operating system's by default. It is asked once in five minutes.
    ca_file: PEM file of a further certificate authority to trust, as intranets have.
    """

    def __init__(self, limits: WebLimits, resolve: Resolve | None = None, ca_file: str | None = None) -> None:
        self._limits = limits
        self._resolve = resolve
        self._context = ssl.create_default_context()  # once: it takes 20 ms of CPU
        self._context.set_alpn_protocols(["http/1.1"])
        if ca_file is not None:
            self._context.load_verify_locations(ca_file)

    async def __aenter__(self) -> Self:
        limits = self._limits
        self._system = SystemResolver()
        self._names = CheckedResolver(self._resolve or self._system.resolve, limits.allow_private_hosts)
        self._session = aiohttp.ClientSession(
            connector=CheckedConnector(limits, self._names, self._context),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": limits.user_agent, "Accept": ACCEPT, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(
                total=None, connect=limits.connect_timeout_s, sock_read=limits.idle_timeout_s
            ),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_READ_BYTES,
            max_field_size=limits.max_header_bytes,
            max_headers=_MAX_HEADER_FIELDS,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._names.close()
        self._system.close()

    async def hop(
        self,
        url: URL,
        max_bytes: int,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        check_headers: Callable[[CIMultiDictProxy[str]], object] | None = None,
        check_start: Callable[[bytes], object] | None = None,
        memory: Memory | None = None,
    ) -> Answer:
        """GET a checked URL once; redirects are not followed, failures are not retried.

        max_bytes bounds the body, before and after decoding. headers go with the request.
        check_headers sees those of an answer with a body before that is read; what it raises ends the transfer.
        check_start sees the first decoded bytes, at least 32 unless the body is shorter (never none); what it
        raises ends the transfer. memory is taken before a body is read: its length, or max_bytes where that is not
        known before it has come; while that waits, reading from the host is paused and no timeout runs.

        Raises WebError: PRIVATE_ADDRESS, HOST_UNKNOWN, CONNECT_FAILED, TLS, CONNECTION_LOST, TIMEOUT,
        BAD_ANSWER, TOO_MANY_BYTES; and what check_start and memory raise.
        """
        try:
            async with asyncio.timeout(self._limits.total_timeout_s) as deadline:
                response = await self._response(url, headers)
                try:
                    body = b""
                    if response.status == 200:
                        if check_headers is not None:
                            check_headers(response.headers)
                        body = await self._body(response, max_bytes, check_start, memory, deadline)
                    else:
                        deadline.reschedule(None)  # the answer is known
                        await _drain(response)
                    return Answer(url, response.status, response.headers, body)
                finally:
                    response.close()  # does nothing to a connection whose answer has come to its end
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise WebError(
                Reject.TIMEOUT, f"not complete within {self._limits.total_timeout_s:g} s"
            ) from error

    async def _response(self, url: URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        while True:
            try:
                response = await self._session.get(url, headers=headers, allow_redirects=False)
            except StaleConnectionError:
                continue  # each turn takes one connection from the pool; on a new one there is no such error
            except TRANSFER_ERRORS as error:
                raise transfer_error(error, self._limits) from error
            size = sum(len(name) + len(value) + 4 for name, value in response.raw_headers)
            if size > self._limits.max_header_bytes:
                response.close()
                raise WebError(
                    Reject.BAD_ANSWER,
                    f"{size} bytes of header, at most {self._limits.max_header_bytes}",
                    response.status,
                )
            return response

    async def _body(
        self,
        response: aiohttp.ClientResponse,
        max_bytes: int,
        check_start: Callable[[bytes], object] | None,
        memory: Memory | None,
        deadline: asyncio.Timeout,
    ) -> bytes:
        announced = response.content_length
        if announced is not None and announced > max_bytes:
            raise too_many_bytes_error(announced, max_bytes)
        decoder = inflater_for(response.headers.getall("Content-Encoding", ()))
        if memory is not None:
            size = max_bytes if announced is None or decoder is not None else announced
            if not memory.take_now(size):
                await self._take_memory(response, memory, size, deadline)
        body = BodyBuffer(max_bytes, check_start)
        received = 0
        while chunk := await self._chunk(response):
            received += len(chunk)
            if received > max_bytes:
                raise too_many_bytes_error(None, max_bytes)
            if decoder is None:
                body.add(chunk)
            else:
                await decoder.feed(chunk, body)
        if decoder is not None:
            decoder.finish()
        return body.finish()

    async def _chunk(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await response.content.readany()
        except TRANSFER_ERRORS as error:
            raise transfer_error(error, self._limits, response.status) from error

    async def _take_memory(
        self,
        response: aiohttp.ClientResponse,
        memory: Memory,
        size: int,
        deadline: asyncio.Timeout,
    ) -> None:
        loop = asyncio.get_running_loop()
        ends_s = deadline.when()
        left_s = 0.0 if ends_s is None else ends_s - loop.time()
        deadline.reschedule(None)
        protocol = None if response.connection is None else response.connection.protocol
        transport = None if protocol is None else protocol.transport
        if protocol is None or transport is None or response.content.is_eof():
            await memory.take(size)  # all has come already
        else:
            transport.pause_reading()
            protocol.read_timeout = None
            protocol.start_timeout()
            await memory.take(size)
            transport.resume_reading()
            protocol.read_timeout = self._limits.idle_timeout_s
            protocol.start_timeout()
        deadline.reschedule(loop.time() + left_s)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Let a small body come, so that the connection can be used again; nothing depends on it."""
    if response.content.is_eof() or (response.content_length or _DRAINED_BYTES + 1) > _DRAINED_BYTES:
        return
    try:
        async with asyncio.timeout(_DRAIN_S):
            await response.content.wait_eof()
    except TRANSFER_ERRORS:
        return


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a Retry-After header asks to wait: 0 to 86,400; None without one, or if it cannot be read.

    now: seconds since 1970. RFC 9110, section 10.2.3: whole seconds, or a date.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text, re.ASCII):
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        date = parsedate_to_datetime(text)
        wait_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError, LookupError):
        return None
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)
