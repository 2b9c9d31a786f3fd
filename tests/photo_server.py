"""A plain web server on loopback that serves photos, gives errors on demand, and counts the requests."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class PhotoServer:
    """What the server serves, and the requests it got; all of it may be changed while it runs."""

    port: int = 0
    photos: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)  # instead of the photo
    failing: Callable[[int], int | None] = lambda nth: None  # the status of the nth request, if not the photo
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    delays_s: dict[str, float] = field(default_factory=dict)
    robots: str | None = None
    requests: Counter[str] = field(default_factory=Counter)
    photos_sent: Counter[str] = field(default_factory=Counter)  # whole photos that were sent
    agents: set[str] = field(default_factory=set)
    times: list[float] = field(default_factory=list)  # when each request came, in seconds
    running: int = 0
    most_at_once: int = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Where a photo is; 127.0.0.2 and so on are other hosts with the same photos."""
        return f"http://{host}:{self.port}{path}"

    @property
    def photo_requests(self) -> int:
        """Requests for anything but robots.txt and its like."""
        return sum(count for path, count in self.requests.items() if path in {*self.photos, *self.statuses})


@contextmanager
def photo_server(hosts: int = 1, port: int = 0) -> Iterator[PhotoServer]:
    """Serve at 127.0.0.1, 127.0.0.2 ... until the block ends; at any free port if it is 0."""
    state = PhotoServer(port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            with lock:
                state.requests[self.path] += 1
                self.failed = state.failing(state.requests.total())
                state.agents.add(self.headers["User-Agent"])
                state.times.append(time.monotonic())
                state.running += 1
                state.most_at_once = max(state.most_at_once, state.running)
            try:
                self.answer()
            finally:
                with lock:
                    state.running -= 1

        def answer(self) -> None:
            time.sleep(state.delays_s.get(self.path, 0.0))
            body = state.photos.get(self.path)
            if self.path == "/robots.txt" and state.robots is not None:
                body = state.robots.encode()
            etag = f'"{hashlib.sha256(body or b"").hexdigest()[:16]}"'
            status = self.failed or state.statuses.get(self.path, 404 if body is None else 200)
            if status == 200 and self.headers["If-None-Match"] == etag:
                status = 304
            content = body if status == 200 and body is not None else b""
            self.send_response(status)
            for name, value in state.headers.get(self.path, {}).items():
                self.send_header(name, value)
            self.send_header("ETag", etag)
            if status != 304:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:-1])
            if content:
                with lock:  # before the last byte: whoever has the whole photo finds it counted
                    state.photos_sent[self.path] += 1
            self.wfile.write(content[-1:])

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that was killed breaks its connections: nothing to say."""

    lock = threading.Lock()
    servers: list[Server] = []
    for number in range(1, hosts + 1):
        servers.append(Server((f"127.0.0.{number}", state.port), Handler))
        servers[-1].daemon_threads = True
        state.port = servers[0].server_port
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield state
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
