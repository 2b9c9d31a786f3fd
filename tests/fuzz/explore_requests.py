"""Requests to `facerefs explore`, as bytes on a socket: none may end in an error that nobody foresaw."""

import asyncio
import socket
import tempfile
import threading
from functools import cache
from pathlib import Path

from aiohttp import web

from facerefs.pipeline.explore.guard import Guard
from facerefs.pipeline.explore.server import ExploreOptions, explore_app
from facerefs.pipeline.storage.folder import Storage
from tests.pipeline.explore.synthetic import write_build

_TOKEN, _PAGE_TOKEN = "token", "page"
_PORT = 80  # in the header alone
_HEADERS = (
    f"Host: 127.0.0.1:{_PORT}\r\nCookie: facerefs-{_PORT}={_TOKEN}\r\n"
    f"Origin: http://127.0.0.1:{_PORT}\r\nX-Token: {_PAGE_TOKEN}\r\nConnection: close\r\n"
)
_DECISION = b'{"decision": "drop", "what": "person-00000", "other": "", "comment": "c"}'
_REMOVED = b'{"line": "2", "text": "drop,person-00000,,"}'
_PATHS = (
    "/",
    "/faces?q=person&reason=accepted&yaw_min=-10&yaw_max=3.5&sort=-sharpness&page=1",
    "/pairs?identity=person-00000&similarity_min=0.5",
    "/photos?licence=-none-&sort=key",
    "/details?id=0000000000000003-0&as=face",
    "/details.json?id=person-00000",
    "/picture?of=face&id=0000000000000003-0&large=1",
    "/static/explore.js",
    f"/?token={_TOKEN}",
)


def run(data: bytes, _: Path) -> bytes:
    """What the server answers. Raises AssertionError for an answer of status 500."""
    with socket.create_connection(("127.0.0.1", _served()), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while more := connection.recv(1 << 16):
            answer += more
    assert answer[9:12] != b"500", data
    return answer


def seeds() -> list[bytes]:
    """Requests that the page makes."""
    gets = [f"GET {path} HTTP/1.1\r\n{_HEADERS}\r\n".encode() for path in _PATHS]
    posts = [
        f"POST {path} HTTP/1.1\r\n{_HEADERS}Content-Length: {len(body)}\r\n\r\n".encode() + body
        for path, body in (("/decisions/add", _DECISION), ("/decisions/remove", _REMOVED))
    ]
    return gets + posts


@cache
def _served() -> int:
    """The port of a server in this process, which ends with it."""
    storage = Storage.at(tempfile.mkdtemp(prefix="facerefs-fuzz-"))
    write_build(storage, 40)
    ports: list[int] = []
    started = threading.Event()

    async def serve() -> None:
        app, _ = explore_app(ExploreOptions(storage), Guard(_PORT, _TOKEN, _PAGE_TOKEN))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports.append(runner.addresses[0][1])
        started.set()
        await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    assert started.wait(30)
    return ports[0]
