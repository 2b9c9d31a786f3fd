"""A fast web server of photos on 127.0.0.1: `/photo/7.jpg` is always the same JPEG, and no two are the same.

`python -m benchmarks.loopback_server --count 10000 --bytes 60000 [--tls CERT KEY]` prints the port that it got.
"""

import argparse
import asyncio
import io
import socket
import ssl
from bisect import bisect
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import trustme
from PIL import Image

PICTURES = 64  # that differ in their pixels; the photos made of one differ in a comment
_SEND_BUFFER = 1 << 20


class Photos:
    """`count` JPEGs of about `size_bytes` bytes, made of noise, the same on every call."""

    def __init__(self, count: int, size_bytes: int) -> None:
        self.count = count
        self._pictures = [_picture(i, size_bytes) for i in range(min(count, PICTURES))]

    def __getitem__(self, index: int) -> bytes:
        """The bytes of a photo. Raises IndexError."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        picture = self._pictures[index % PICTURES]
        comment = f"photo {index:012}".encode()
        return b"".join(
            (picture[:2], b"\xff\xfe", (len(comment) + 2).to_bytes(2, "big"), comment, picture[2:])
        )


def _picture(seed: int, size_bytes: int) -> bytes:
    """Noise of all scales, as photos have it, of 300 to 500 pixels a side, in the quality that gives the size."""
    rng = np.random.default_rng(seed)
    width, height = rng.integers(300, 501, 2).tolist()
    pixels = np.full((height, width, 3), 128.0)
    for scale in (4, 16, 64, 256):
        grain = Image.fromarray(rng.integers(0, 256, (scale, scale, 3), dtype=np.uint8))
        layer = np.asarray(grain.resize((width, height), Image.Resampling.BICUBIC))
        pixels += (layer - 127.5) / scale**0.5 * 1.5
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))

    @cache
    def encoded(quality: int) -> bytes:
        jpeg = io.BytesIO()
        image.save(jpeg, "JPEG", quality=quality)
        return jpeg.getvalue()

    qualities = range(5, 100)
    return encoded(qualities[bisect(qualities, size_bytes, key=lambda q: len(encoded(q))) - 1])


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, for GET without a body."""

    def __init__(self, photos: Photos) -> None:
        self._photos = photos
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (for mypy: TCP and TLS transports are)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for request in requests:
            self._transport.write(_answer(self._photos, request))
            if b"connection: close" in request.lower():
                self._transport.close()


def _answer(photos: Photos, request: bytes) -> bytes:
    name = request.split(b" ", 2)[1].removeprefix(b"/photo/").removesuffix(b".jpg")
    try:
        body = photos[int(name)]
    except (ValueError, IndexError):
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    return b'HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\nETag: "%b"\r\n\r\n%b' % (
        len(body),
        name,
        body,
    )


async def _serve(port: int, connection: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # inherited: an answer is one send
    server = await asyncio.get_running_loop().create_server(connection, sock=listener, ssl=tls, backlog=1024)
    print(listener.getsockname()[1], flush=True)
    await server.serve_forever()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and localhost, by an authority of its own; returns that one's and the key."""
    authority, trusted, key = trustme.CA(), folder / "authority.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(str(trusted))
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(key))
    return trusted, key


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=60_000)
    parser.add_argument("--tls", metavar="PEM", help="a key and its certificates")
    parser.add_argument("--port", type=int, default=0)
    chosen = parser.parse_args()
    tls = None
    if chosen.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(chosen.tls)
    photos = Photos(chosen.count, chosen.bytes)
    asyncio.run(_serve(chosen.port, lambda: _Connection(photos), tls))


if __name__ == "__main__":
    main()
