"""The servers: they listen, note each request, and let the behaviour of its path answer it."""

import asyncio
import socket
import ssl
import struct
import tempfile
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import trustme

from facerefs.schemas.reject import Reject
from tests.hostile_web import certificates

ROBOTS_TXT = b"User-agent: *\nDisallow: /disallowed/\n"


class Level(StrEnum):
    """Which part of a crawl finds out."""

    URL = "url"  # check_url, before anything is sent
    HOP = "hop"  # the client, in one request
    FETCHER = "fetcher"  # by statuses, headers and redirects of several requests, or by the first bytes
    CRAWL = "crawl"  # when the photo is decoded


class Listener(StrEnum):
    """What waits at a behaviour's address."""

    HTTP = "http"
    HTTPS = "https"
    EXPIRED = "expired"
    WRONG_HOST = "wrong_host"
    UNTRUSTED = "untrusted"
    MUTE = "mute"  # accepts connections, never reads or writes
    BLURTS = "blurts"  # answers in plain HTTP before it is asked
    HANGS_UP = "hangs_up"  # accepts connections and closes them
    NOBODY = "nobody"  # refuses connections


class Then(Enum):
    """What a server does after it has answered."""

    KEEP = 1  # waits for the next request
    CLOSE = 2
    RESET = 3
    HANG = 4
    DIE = 5  # like KEEP, but closes when the next request has come


@dataclass(frozen=True)
class Request:
    """One that was seen: path with query, headers by lower-case name, and the number of its connection."""

    path: str
    headers: Mapping[str, str]
    connection: int


@dataclass
class Visit:
    """A request that waits for its answer; it is the `nth` (from 1) for its path."""

    request: Request
    nth: int
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Raises ConnectionError if the client is gone."""
        self.writer.write(data)
        await self.writer.drain()


Serve = Callable[[Visit], Awaitable[Then]]


@dataclass(frozen=True)
class Behaviour:
    """One way to answer, well or badly.

    expected: how the crawl of its URL ends; None: as a photo. url: a template, where {scheme}, {netloc} and
    {path} stand for those of its own listener.
    """

    path: str
    expected: Reject | None
    level: Level
    note: str
    serve: Serve | None = None
    listener: Listener = Listener.HTTP
    url: str = "{scheme}://{netloc}{path}"


@dataclass
class HostileWeb:
    """The running servers: where they are, and what they were asked."""

    behaviours: Mapping[str, Behaviour]
    ca_file: str
    requests: list[Request] = field(default_factory=list)
    netlocs: dict[str, str] = field(default_factory=dict)

    def url(self, path: str) -> str:
        """The URL, well-formed or not, at which a behaviour is met."""
        behaviour = self.behaviours[path]
        plain = behaviour.listener in (Listener.HTTP, Listener.NOBODY, Listener.HANGS_UP)
        scheme = "http" if plain else "https"
        return behaviour.url.format(scheme=scheme, netloc=self.netlocs[path], path=path)

    def count(self, path: str) -> int:
        """How many requests for a path have come."""
        return sum(request.path.partition("?")[0] == path for request in self.requests)


@contextmanager
def hostile_web() -> Iterator[HostileWeb]:
    """Run the servers, in a thread of their own, until the block ends."""
    from tests.hostile_web.behaviours import BEHAVIOURS as behaviours  # it needs the classes above

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = certificates.authority()
        authority.cert_pem.write_to_path(str(folder / "authority.pem"))
        web = HostileWeb(behaviours, str(folder / "authority.pem"))
        addresses = {path: f"127.0.{1 + n // 200}.{1 + n % 200}" for n, path in enumerate(behaviours)}
        contexts = _contexts(authority, behaviours, addresses)
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(_without_lost_clients)
        thread = threading.Thread(target=loop.run_forever, name="hostile-web", daemon=True)
        thread.start()
        servers = _Servers(web, contexts)
        try:
            asyncio.run_coroutine_threadsafe(servers.start(addresses), loop).result(30)
            yield web
        finally:
            asyncio.run_coroutine_threadsafe(servers.stop(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def _contexts(
    authority: trustme.CA, behaviours: Mapping[str, Behaviour], addresses: Mapping[str, str]
) -> dict[Listener, ssl.SSLContext]:
    def of(listener: Listener) -> list[str]:
        return [addresses[path] for path, each in behaviours.items() if each.listener == listener]

    makers: dict[Listener, Callable[[], ssl.SSLContext]] = {
        Listener.HTTPS: lambda: certificates.good(authority, of(Listener.HTTPS)),
        Listener.EXPIRED: lambda: certificates.expired(authority, of(Listener.EXPIRED)),
        Listener.WRONG_HOST: lambda: certificates.wrong_host(authority),
        Listener.UNTRUSTED: lambda: certificates.untrusted(of(Listener.UNTRUSTED)),
    }
    return {listener: make() for listener, make in makers.items() if of(listener)}


def _without_lost_clients(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


class _Servers:
    def __init__(self, web: HostileWeb, contexts: Mapping[Listener, ssl.SSLContext]) -> None:
        self._web = web
        self._contexts = contexts
        self._servers: list[asyncio.Server] = []
        self._refusing: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._visits: Counter[str] = Counter()
        self._connections = 0

    async def start(self, addresses: Mapping[str, str]) -> None:
        for path, address in addresses.items():
            listener = self._web.behaviours[path].listener
            if listener == Listener.NOBODY:
                bound = socket.socket()
                bound.bind((address, 0))  # nobody else gets the port, but nobody listens
                self._refusing.append(bound)
            else:
                talk = _SPEECHLESS.get(listener, self._talk)
                context = self._contexts.get(listener)
                server = await asyncio.start_server(self._tracked(talk), address, 0, ssl=context)
                self._servers.append(server)
                bound = server.sockets[0]
            self._web.netlocs[path] = f"{address}:{bound.getsockname()[1]}"

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for bound in self._refusing:
            bound.close()

    def _tracked(
        self, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                with suppress(OSError, EOFError, ValueError, asyncio.CancelledError):  # clients come and go
                    await talk(reader, writer)
            finally:
                self._tasks.discard(task)
                writer.close()

        return tracked

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        connection, dying = self._connections, False
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (l.partition(":") for l in lines)}
            request = Request(first.split(" ")[1], headers, connection)
            self._web.requests.append(request)
            if dying:
                return
            path = request.path.partition("?")[0]
            self._visits[path] += 1
            then = await self._serve(path)(Visit(request, self._visits[path], writer))
            if then == Then.HANG:
                await _mute(reader, writer)
            elif then == Then.RESET:
                linger_for_no_time = struct.pack("ii", 1, 0)
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
                writer.transport.abort()
            if then not in (Then.KEEP, Then.DIE):
                return
            dying = then == Then.DIE

    def _serve(self, path: str) -> Serve:
        behaviour = self._web.behaviours.get(path)
        if behaviour is not None and behaviour.serve is not None:
            return behaviour.serve
        return _robots_txt if path == "/robots.txt" else _nothing


async def _mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _blurt(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return


_SPEECHLESS = {Listener.MUTE: _mute, Listener.BLURTS: _blurt, Listener.HANGS_UP: _hang_up}


async def _robots_txt(visit: Visit) -> Then:
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(ROBOTS_TXT), ROBOTS_TXT))
    return Then.KEEP


async def _nothing(visit: Visit) -> Then:
    await visit.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    return Then.KEEP
