"""Answers as bytes, and the ways to send them: what the table of behaviours is made of."""

import asyncio
import functools
import zlib

from tests.hostile import encoded, portrait
from tests.hostile_web.server import Serve, Then, Visit


@functools.cache
def photo(seed: int = 0) -> bytes:
    """A JPEG of 256x320 pixels, another one for each seed."""
    return encoded(portrait(256, 320, seed), "JPEG", quality=90)


def answer(body: bytes, *headers: str, status: str = "200 OK", type_: str = "image/jpeg") -> bytes:
    """A well-formed answer of known length."""
    return head(f"Content-Type: {type_}", f"Content-Length: {len(body)}", *headers, status=status) + body


def head(*headers: str, status: str = "200 OK") -> bytes:
    """The header of an answer, with no more in it than is given; non-ASCII text as UTF-8."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def chunked(body: bytes, size: int = 1000) -> bytes:
    """A body in chunks, with the header that says so."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return head("Transfer-Encoding: chunked") + b"".join(chunk(piece) for piece in [*pieces, b""])


def chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112, section 7.1); the last one if it is empty."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def gzipped(body: bytes, wbits: int = 31) -> bytes:
    """gzip, or with wbits 15 zlib, or with -15 raw deflate."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return squeeze.compress(body) + squeeze.flush()


def gzip_bomb() -> tuple[bytes, bytes]:
    """The beginning of a JPEG, and 1 MB of zeros that can follow it as often as you like; both of 1 kB."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = squeeze.compress(b"\xff\xd8\xff" + bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return start, squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)


def says(*pieces: bytes, then: Then = Then.KEEP) -> Serve:
    """Send these, one after the other."""

    async def serve(visit: Visit) -> Then:
        for piece in pieces:
            await visit.send(piece)
        return then

    return serve


def repeats(start: bytes, piece: bytes, every_s: float = 0.0) -> Serve:
    """Send something, then something else again and again until the client has had enough."""

    async def serve(visit: Visit) -> Then:
        await visit.send(start)
        while True:
            await visit.send(piece)
            await asyncio.sleep(every_s)

    return serve


def drips(data: bytes, every_s: float) -> Serve:
    """Send byte after byte, each well before a client would call it idle."""
    return pauses(*(data[at : at + 1] for at in range(len(data))), every_s=every_s)


def pauses(*pieces: bytes, every_s: float) -> Serve:
    """Send these with pauses, then wait for the client to go."""

    async def serve(visit: Visit) -> Then:
        for piece in pieces:
            await visit.send(piece)
            await asyncio.sleep(every_s)
        return Then.HANG

    return serve


def at_first(times: int, first: bytes, later: bytes) -> Serve:
    """Answer the first few requests otherwise than those after them."""

    async def serve(visit: Visit) -> Then:
        await visit.send(first if visit.nth <= times else later)
        return Then.KEEP

    return serve


def if_header(name: str, value: str | None, matching: bytes, otherwise: bytes) -> Serve:
    """Answer by a header of the request (None: that it is absent)."""

    async def serve(visit: Visit) -> Then:
        await visit.send(matching if visit.request.headers.get(name) == value else otherwise)
        return Then.KEEP

    return serve


def redirects(location: str, status: str = "302 Found") -> Serve:
    """Send the client elsewhere."""
    return says(answer(b"elsewhere", f"Location: {location}", status=status, type_="text/plain"))


def wanders() -> Serve:
    """Redirect to a new URL each time."""

    async def serve(visit: Visit) -> Then:
        await visit.send(answer(b"", f"Location: ?step={visit.nth}", status="302 Found"))
        return Then.KEEP

    return serve
