"""An HTTP proxy on loopback that spoils requests on purpose: dropped, cut in the middle, silent, or answered 503."""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DROPPED, CUT, BUSY, SILENT = "dropped", "cut", "busy", "silent"
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
_BUSY_BODY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>busy</Message></Error>"


@dataclass
class FaultyProxy:
    """Passes requests on to a server on loopback; a share of them is spoiled, each by one of `faults`."""

    to_port: int
    share: float
    faults: tuple[str, ...]
    seed: int = 0
    silence_s: float = 3600.0
    port: int = 0
    requests: int = 0
    spoiled: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def running(self) -> Iterator["FaultyProxy"]:
        """The proxy as it listens, until the block ends."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, random.Random(self.seed)))
        server.daemon_threads = True
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


def _handler(proxy: FaultyProxy, draws: random.Random) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            proxy.requests += 1
            fault = draws.choice(proxy.faults) if draws.random() < proxy.share else ""
            proxy.spoiled.update([fault] if fault else [])
            body = self._body() if fault != DROPPED else b""
            if fault == DROPPED:
                self.close_connection = True
            elif fault == SILENT:
                time.sleep(proxy.silence_s)
                self.close_connection = True
            elif fault == BUSY:
                self._answer(503, [("Content-Type", "application/xml")], _BUSY_BODY)
            else:
                self._forward(body, fault)

        def _body(self) -> bytes:
            """The body as it stands in the request: with the sizes of its chunks, if it is sent in chunks."""
            if self.headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("content-length") or 0))
            body = b""
            while True:
                line = self.rfile.readline()
                body += line + self.rfile.read(int(line, 16) + 2)
                if int(line, 16) == 0:
                    return body

        def _forward(self, body: bytes, fault: str) -> None:
            upstream = http.client.HTTPConnection("127.0.0.1", proxy.to_port, timeout=60)
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            data = answer.read()
            upstream.close()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
            length = int(answer.getheader("content-length") or len(data))
            self._answer(answer.status, headers, data, length, cut=fault == CUT)

        def _answer(
            self,
            status: int,
            headers: list[tuple[str, str]],
            data: bytes,
            length: int | None = None,
            cut: bool = False,
        ) -> None:
            with suppress(OSError):  # the client has gone
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data) if length is None else length))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if cut else data)
                self.close_connection = cut
                self.wfile.flush()

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Print nothing."""

    return Handler
