"""Connections that are opened only to checked addresses, and whose headers are bounded."""

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.streams import StreamReader

from facerefs.schemas.reject import Reject
from facerefs.stages.web.address import Resolve, WebError, is_allowed
from facerefs.stages.web.limits import WebLimits

MAX_CACHED_NAMES = 10_000
NAME_TTL_S = 300.0
UNKNOWN_NAME_TTL_S = 15.0
KEEP_ALIVE_S = 15.0
MAX_IDLE_CONNECTIONS = 256  # a crawl meets thousands of hosts, and a process may often open only 1024 files
_LOOKUPS_AT_ONCE = 32


class BrokenConnectionError(aiohttp.ClientConnectionError):
    """The connection broke before the answer's header ended. Unlike its siblings, aiohttp does not retry it."""


class StaleConnectionError(aiohttp.ClientConnectionError):
    """The host closed a kept-alive connection just when it was used again: it has not answered at all."""


class SystemResolver:
    """Resolves host names by the operating system, in threads of our own, since a lookup may hang."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="host-names")

    async def resolve(self, host: str) -> Sequence[str]:
        """See `facerefs.stages.web.address.Resolve`."""
        lookup = partial(socket.getaddrinfo, host.encode("ascii"), None, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, lookup)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        """Stop, without waiting for lookups that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(eq=False)
class _Lookup:
    task: asyncio.Task[Sequence[str]]
    expires_s: float


class CheckedResolver(AbstractResolver):
    """The resolver that aiohttp uses: gives only allowed addresses, and connections go to exactly these."""

    def __init__(self, resolve: Resolve, allow_private: bool) -> None:
        self._ask = resolve
        self._allow_private = allow_private
        self._lookups: OrderedDict[str, _Lookup] = OrderedDict()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The allowed addresses of a name.

        Raises OSError for a name without addresses, WebError (PRIVATE_ADDRESS) if none of them is allowed.
        """
        addresses = await self._looked_up(host)
        allowed = [address for address in addresses if is_allowed(address, self._allow_private)]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        if not allowed:
            raise WebError(Reject.PRIVATE_ADDRESS, f"{host} has {', '.join(addresses[:4])}")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in allowed
        ]

    async def _looked_up(self, host: str) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        lookup = self._lookups.pop(host, None)
        if lookup is None or lookup.expires_s <= loop.time():
            task = loop.create_task(_addresses(self._ask, host))
            lookup = _Lookup(task, loop.time() + NAME_TTL_S)
            task.add_done_callback(partial(_forget_failure_soon, lookup, loop))
        self._lookups[host] = lookup
        if len(self._lookups) > MAX_CACHED_NAMES:
            self._lookups.popitem(last=False)
        return await asyncio.shield(lookup.task)  # others may wait for it too

    async def close(self) -> None:
        """Stop waiting for lookups that hang."""
        for lookup in self._lookups.values():
            lookup.task.cancel()


async def _addresses(resolve: Resolve, host: str) -> Sequence[str]:
    return await resolve(host)


def _forget_failure_soon(
    lookup: _Lookup, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Sequence[str]]
) -> None:
    if task.cancelled() or task.exception() is not None:
        lookup.expires_s = loop.time() + UNKNOWN_NAME_TTL_S


class BoundedHandler(ResponseHandler):
    """One connection, from its opening to its end, over as many requests as it serves.

    What aiohttp's own does not do: bound the whole header (interim 1xx answers included), close a connection
    on which a host speaks unasked, tell a stale kept-alive connection from a broken one, and end a body at a
    bad chunk that comes later than the header.
    """

    def __init__(self, max_header_bytes: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._max_header_bytes = max_header_bytes
        self._header_bytes = 0
        self._in_header = False
        self._requests = 0
        self.idle = False

    def set_response_params(self, *args: object, **params: object) -> None:
        """aiohttp calls it right before each request."""
        self._requests += 1
        self._header_bytes = 0
        self._in_header = True
        self.idle = False
        super().set_response_params(*args, **params)  # type: ignore[arg-type]  # handed through as they come

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """The header of an answer has ended."""
        self._in_header = data[0].code < 200
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Bytes from the host; empty when aiohttp resumes what it had paused."""
        if self.idle and data:
            self.abort()
            return
        self._header_bytes += len(data)
        super().data_received(data)
        if self._in_header and self._header_bytes > self._max_header_bytes:
            self.set_exception(BadHttpMessage(f"more than {self._max_header_bytes} bytes of header"))
            self.abort_transport()

    def abort_transport(self) -> None:
        """Stop receiving at once; `abort` would also forget the exception."""
        if self.transport is not None:
            self.transport.abort()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """End the connection with an error: stale if it had been kept alive, broken if it was in use."""
        if isinstance(exc, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            closed = "closed by the host, " + (
                "within the header" if self._header_bytes else "without an answer"
            )
            said = closed if isinstance(exc, aiohttp.ServerDisconnectedError) else str(exc)
            stale = self._requests > 1 and not self._header_bytes
            exc = StaleConnectionError(said) if stale else BrokenConnectionError(said)
        payload = self._payload
        if isinstance(exc, HttpProcessingError) and payload is not None and payload.exception() is None:
            payload.set_exception(exc)  # else the reader of the body would wait for ever after a bad chunk
        if exc_cause is None:
            super().set_exception(exc)
        else:
            super().set_exception(exc, exc_cause)


class CheckedConnector(aiohttp.TCPConnector):
    """Opens connections to allowed addresses only, whether from a name or from the URL, and keeps few idle ones."""

    def __init__(self, limits: WebLimits, names: CheckedResolver, context: ssl.SSLContext) -> None:
        super().__init__(
            resolver=names,
            use_dns_cache=False,  # `names` has its own, which also knows failures
            ssl=context,
            limit=0,  # how many at once is a matter of politeness
            keepalive_timeout=KEEP_ALIVE_S,
            socket_factory=self._socket,
        )
        self._allow_private = limits.allow_private_hosts
        self._factory = partial(BoundedHandler, limits.max_header_bytes, self._loop)  # type: ignore[assignment]
        self._idle: OrderedDict[ResponseHandler, None] = OrderedDict()

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """The one place where sockets are made: the address is the one that will be connected to."""
        family, type_, protocol, _, address = info
        if not is_allowed(str(address[0]), self._allow_private):
            raise WebError(Reject.PRIVATE_ADDRESS, str(address[0]))
        return socket.socket(family, type_, protocol)

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        self._idle.pop(protocol, None)
        if protocol.is_connected() and not self._closed:
            protocol.idle = True  # type: ignore[attr-defined]  # made by _factory
            self._idle[protocol] = None
        while len(self._idle) > MAX_IDLE_CONNECTIONS:
            oldest, _ = self._idle.popitem(last=False)
            if oldest.idle:  # type: ignore[attr-defined]
                oldest.close()
