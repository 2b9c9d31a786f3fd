"""The body of an answer: bounded while it arrives, decompressed if the host compressed it, checked at its start."""

import asyncio
import io
import zlib
from collections.abc import Callable, Sequence

from facerefs.schemas.reject import Reject
from facerefs.stages.web.address import WebError

START_BYTES = 32
"""As many are enough to tell image formats apart."""
_STEP_BYTES = 1 << 18
_GZIP_WBITS, _ZLIB_WBITS, _RAW_WBITS = 31, 15, -15
_ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


class BodyBuffer:
    """Collects the decoded bytes, at most `max_bytes`; copies them once, or never if they come in one piece."""

    def __init__(self, max_bytes: int, check_start: Callable[[bytes], object] | None) -> None:
        self._max_bytes = max_bytes
        self._check_start = check_start
        self._first = b""
        self._all: io.BytesIO | None = None  # its getvalue gives its buffer away without copying it
        self.size = 0

    def add(self, data: bytes) -> None:
        """Append bytes. Raises WebError (TOO_MANY_BYTES), and what check_start raises."""
        self.size += len(data)
        if self.size > self._max_bytes:
            raise too_many_bytes_error(None, self._max_bytes)
        if not self._first:
            self._first = data
        else:
            if self._all is None:
                self._all = io.BytesIO()
                self._all.write(self._first)
            self._all.write(data)
        if self._check_start is not None and self.size >= START_BYTES:
            self._run_check_start()

    def finish(self) -> bytes:
        """All bytes. Raises what check_start raises, if they were too few to check them earlier."""
        if self._check_start is not None and self.size:
            self._run_check_start()
        return self._first if self._all is None else self._all.getvalue()

    def _run_check_start(self) -> None:
        check_start, self._check_start = self._check_start, None
        if check_start is not None:
            check_start(self._first if self._all is None else self._all.getvalue())


def too_many_bytes_error(announced: int | None, max_bytes: int) -> WebError:
    """The error for a body that is too large, or that is announced as too large."""
    size = "it goes on after" if announced is None else f"{announced} bytes, at most"
    return WebError(Reject.TOO_MANY_BYTES, f"{size} {max_bytes} bytes", status=200)


class Inflater:
    """Decompresses gzip (RFC 1952) or deflate (RFC 9110: zlib, but many hosts send it raw), in steps of 256 KiB."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._inflate = zlib.decompressobj(_GZIP_WBITS) if encoding == "gzip" else None

    async def feed(self, data: bytes, body: BodyBuffer) -> None:
        """Decode a piece into `body`. Raises WebError (BAD_ANSWER), and what `body.add` raises."""
        if self._inflate is None:
            self._inflate = zlib.decompressobj(_ZLIB_WBITS if _is_zlib(data) else _RAW_WBITS)
        while data:
            if self._inflate.eof:
                raise WebError(Reject.BAD_ANSWER, f"bytes after the end of its {self._encoding} data", 200)
            try:
                decoded = self._inflate.decompress(data, _STEP_BYTES)
            except zlib.error as error:
                raise WebError(Reject.BAD_ANSWER, f"{self._encoding}: {error}", 200) from error
            if decoded:
                body.add(decoded)
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
            if data:
                await asyncio.sleep(0)  # a bomb must not hold up the other transfers

    def finish(self) -> None:
        """Raises WebError (BAD_ANSWER) if data are missing."""
        if self._inflate is not None and not self._inflate.eof:
            raise WebError(Reject.BAD_ANSWER, f"its {self._encoding} data end early", 200)


def _is_zlib(data: bytes) -> bool:
    """RFC 1950: method 8 with a window of at most 32 KiB. Raw deflate data never begin so in practice."""
    return data[0] & 0x0F == 8 and data[0] >> 4 <= 7


def inflater_for(encodings: Sequence[str]) -> Inflater | None:
    """The decompressor for these Content-Encoding headers; None if there is nothing to decompress.

    Raises WebError (BAD_ANSWER) for other encodings.
    """
    named = [name.strip().lower() for header in encodings for name in header.split(",")]
    applied = [name for name in named if name not in ("", "identity")]
    if not applied:
        return None
    if len(applied) > 1 or applied[0] not in _ENCODINGS:
        raise WebError(Reject.BAD_ANSWER, f"Content-Encoding {', '.join(applied)} unasked", 200)
    return Inflater(_ENCODINGS[applied[0]])
