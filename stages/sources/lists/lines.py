"""Reads the lines of an untrusted text file: decompressed as a stream, and never more of a line than a bound."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from facerefs.stages.sources.lists.remote import open_remote, shown_place
from facerefs.stages.sources.source import SourceError
from facerefs.stages.web.limits import WebLimits

MAX_LINE_BYTES = 1 << 20
COMPRESSION_EXTENSIONS = (".gz", ".bz2", ".xz", ".zst")
_BUFFER_BYTES = 1 << 18
_ENCODINGS = {  # by the byte order mark; UTF-32 before UTF-16, whose mark it begins with
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@contextmanager
def open_binary(place: str, limits: WebLimits | None = None) -> Iterator[BinaryIO]:
    """Open a local path, or an address that fsspec understands, to read its bytes as they are.

    limits: of requests to the web.
    Raises SourceError if it cannot be opened, or fails while it is read.
    """
    shown = shown_place(place)
    try:
        with open_remote(place, limits) if "://" in place else open(place, "rb") as file:  # noqa: PTH123 (pathlib would change the path)
            yield file
    except FileNotFoundError as error:
        raise SourceError(f"there is no file {shown}") from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise SourceError(f"cannot read {shown}: {error}") from error


@contextmanager
def open_decompressed(place: str, limits: WebLimits | None = None) -> Iterator[BinaryIO]:
    """As `open_binary`, but decompressed if the name ends in .gz, .bz2, .xz or .zst."""
    with open_binary(place, limits) as packed, _unpack(packed, place) as file:
        yield file


def read_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Lines with their line ends; None in place of a line of more than MAX_LINE_BYTES."""
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while (line := file.readline(MAX_LINE_BYTES)) and not line.endswith(b"\n"):
            pass
        yield None


def text_lines(file: BinaryIO, shown: str) -> Iterator[bytes | None]:
    """As `read_lines`, without a byte order mark. Raises SourceError for UTF-16, and for CR alone as line ends."""
    for i, line in enumerate(read_lines(file)):
        if i == 0 and line is not None:
            if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in line:
                raise SourceError(f"{shown} is UTF-16 text, or none: save it as UTF-8")
            if b"\r" in line.rstrip(b"\r\n"):
                raise SourceError(
                    f"cannot read the header of {shown}: a carriage return stands in it without a line feed: "
                    "save the list with LF or CRLF as line ends"
                )
            line = line.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901
        yield line


def too_long(number: int) -> str:
    """What is wrong with a line of more than MAX_LINE_BYTES."""
    return f"line {number} is longer than {MAX_LINE_BYTES} bytes"


def decode_text(data: bytes) -> str:
    """The text of a short file: UTF-8, or what its byte order mark says; without that mark. Raises ValueError."""
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    return data.decode(encoding)


def without_compression(name: str) -> str:
    """A file's name without a final .gz, .bz2, .xz or .zst."""
    extension = next(
        (extension for extension in COMPRESSION_EXTENSIONS if name.lower().endswith(extension)), ""
    )
    return name[: len(name) - len(extension)]


def _unpack(packed: BinaryIO, place: str) -> BinaryIO:
    name = shown_place(place).lower()
    raw = packed
    if name.endswith(".gz"):
        raw = cast(BinaryIO, gzip.GzipFile(fileobj=packed))
    elif name.endswith(".bz2"):
        raw = cast(BinaryIO, bz2.BZ2File(packed))
    elif name.endswith(".xz"):
        raw = cast(BinaryIO, lzma.LZMAFile(packed))  # noqa: SIM115 (closed with `packed`)
    elif name.endswith(".zst"):
        import pyarrow as pa

        raw = pa.CompressedInputStream(pa.PythonFile(packed, "r"), "zstd")
    return cast(BinaryIO, io.BufferedReader(raw, _BUFFER_BYTES))
