"""A build that is explored by a test: the server in a thread, and requests as a browser would send them."""

import asyncio
import http.client
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from facerefs.pipeline.explore.server import ExploreOptions, served
from facerefs.pipeline.storage.folder import Storage


@dataclass(frozen=True)
class Answer:
    """What the server sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Opened:
    """A page that is open in a browser. address: with the token, as the command prints it."""

    address: str
    cookie: str

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    def get(self, path: str, **query: str) -> Answer:
        return self.ask("GET", path + (f"?{urlencode(query)}" if query else ""), {"Cookie": self.cookie})

    def post(self, path: str, values: object, **changed: str | None) -> Answer:
        """As the page's script does it; changed: headers that are different, or None to leave one out."""
        token = re.search(r'name="token" content="([^"]+)"', self.get("/decisions").text)
        assert token
        headers = {"Cookie": self.cookie, "Origin": f"http://{self.host}", "X-Token": token[1]}
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        return self.ask("POST", path, headers, json.dumps(values).encode())

    def ask(
        self, method: str, path: str, headers: Mapping[str, str | None], body: bytes | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        connection.request(method, path, body, {name: value for name, value in headers.items() if value})
        answer = connection.getresponse()
        found = Answer(answer.status, dict(answer.getheaders()), answer.read())
        connection.close()
        return found


@contextmanager
def opened(build: Path, other: Path | None = None, blur: bool = False) -> Iterator[Opened]:
    """Explore a build until the block ends."""
    options = ExploreOptions(Storage.at(build), None if other is None else Storage.at(other), blur)
    with opened_with(options) as page:
        yield page


@contextmanager
def opened_with(options: ExploreOptions) -> Iterator[Opened]:
    """Explore what the options say until the block ends."""
    addresses: list[str] = []
    started = threading.Event()

    def note(address: str) -> None:
        addresses.append(address)
        started.set()

    loop = asyncio.new_event_loop()
    task = loop.create_task(served(options, 0, note))
    thread = threading.Thread(target=_run, args=(loop, task))
    thread.start()
    try:
        assert started.wait(30)
        page = Opened(addresses[0], "")
        first = page.ask("GET", addresses[0].partition(page.host)[2], {})
        yield Opened(addresses[0], first.headers["Set-Cookie"].partition(";")[0])
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


def _run(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[None]") -> None:
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
