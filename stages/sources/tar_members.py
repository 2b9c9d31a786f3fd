"""Where the files in a tar lie, from its headers alone: ustar, GNU and pax (POSIX.1-2017, `pax`).

Written for tars of strangers: one header is in memory at a time, nothing is unpacked, and a tar that breaks
off or makes no sense gives all that stands before.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from facerefs.schemas.paths import text_of_path

_BLOCK = 512
_ENDS_EARLY = "the tar ends early"
_MAX_EXTENSION_BYTES = 1 << 20  # of a long name or a pax header
_MAX_PAX_BYTES = 1 << 16  # of a pax header that is read
_UNREAD = b"="  # which no key of a record can be
_REGULAR = {b"0", b"\0", b"7"}
_WITHOUT_DATA = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
}
_FOLDER = b"5"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _SPARSE = b"L", b"K", b"x", b"g", b"S"


@dataclass(frozen=True)
class Member:
    """A file in a tar: its name as text (see `facerefs.schemas.paths`), and its bytes, which `odd` says are none."""

    name: str
    offset: int
    length: int
    odd: str | None = None  # what it is, if no plain file


class TarDamagedError(ValueError):
    """Where and why a tar can be read no further, in one sentence."""


def is_tar(descriptor: int) -> bool:
    """Whether an open file begins as a tar does; an empty tar is one."""
    header = os.pread(descriptor, _BLOCK, 0)
    return len(header) == _BLOCK and (not any(header) or _checksum_is_right(header))


def members(descriptor: int) -> Iterator[Member]:
    """The files of a tar, in its order. Raises TarDamagedError after the last that is whole."""
    end = os.fstat(descriptor).st_size
    offset = 0
    long_name: bytes | None = None
    pax: dict[bytes, bytes] = {}
    while True:
        header = os.pread(descriptor, _BLOCK, offset)
        if len(header) < _BLOCK:
            raise TarDamagedError(f"{_ENDS_EARLY}, at byte {end}, without the mark of its end")
        if not any(header):
            return
        if not _checksum_is_right(header):
            raise TarDamagedError(f"the tar is damaged: there is no header at byte {offset}")
        kind = header[156:157]
        size = _size(header, pax, offset)
        data = offset + _BLOCK
        if kind == _SPARSE:
            data = _after_sparse_map(descriptor, header, data)
        stored = 0 if kind in _WITHOUT_DATA or kind == _FOLDER else size
        if data + stored > end:
            raise TarDamagedError(
                f"{_ENDS_EARLY}: the file at byte {offset} has {size} bytes, {end - data} are there"
            )
        offset = data + -(-stored // _BLOCK) * _BLOCK
        if kind in (_LONG_NAME, _PAX):
            extension = _extension(descriptor, data, size)
            if kind == _LONG_NAME:
                long_name = extension.rstrip(b"\0")
            else:
                pax = _pax_records(extension) if size <= _MAX_PAX_BYTES else {_UNREAD: b""}
            continue
        if kind in (_LONG_LINK, _PAX_GLOBAL):
            continue
        if kind != _FOLDER:
            name = pax.get(b"path") or long_name or _name(header)
            yield Member(text_of_path(os.fsdecode(name)).removeprefix("./"), data, stored, _oddity(kind, pax))
        long_name, pax = None, {}


def _oddity(kind: bytes, pax: dict[bytes, bytes]) -> str | None:
    if _UNREAD in pax:
        return f"a file whose extended header has more than {_MAX_PAX_BYTES} bytes"
    if kind == _SPARSE or any(key.startswith(b"GNU.sparse.") for key in pax):
        return "a sparse file"
    return None if kind in _REGULAR else _WITHOUT_DATA.get(kind, f"of the unknown type {kind!r}")


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _size(header: bytes, pax: dict[bytes, bytes], offset: int) -> int:
    try:
        size = int(pax[b"size"]) if b"size" in pax else _number(header[124:136])
    except ValueError:
        size = -1
    if size < 0:
        raise TarDamagedError(f"the tar is damaged: the file at byte {offset} has no size that we can read")
    return size


def _number(field: bytes) -> int:
    """Octal digits, or, as GNU has it for large ones, a big-endian integer behind a byte 0x80."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big") if field[0] == 0x80 else -1
    return int(field.strip(b" \0") or b"0", 8)


def _checksum_is_right(header: bytes) -> bool:
    """Whether the sum of the header's bytes, those of the sum itself taken as blanks, is as it says."""
    try:
        return _number(header[148:156]) == sum(header) - sum(header[148:156]) + 8 * 0x20
    except ValueError:
        return False


def _extension(descriptor: int, data: int, size: int) -> bytes:
    if size > _MAX_EXTENSION_BYTES:
        raise TarDamagedError(f"the tar is damaged: a name or an extended header has {size} bytes")
    return os.pread(descriptor, size, data)


def _pax_records(extension: bytes) -> dict[bytes, bytes]:
    """Records of the form `LENGTH KEY=VALUE\\n`, the length that of the whole record."""
    records: dict[bytes, bytes] = {}
    at, end = 0, len(extension.rstrip(b"\0"))
    while at < end:
        digits, blank, _ = extension[at : at + 20].partition(b" ")
        if not blank or not digits.isdigit() or not len(digits) + 1 < int(digits) <= len(extension) - at:
            raise TarDamagedError("the tar is damaged: it has an extended header that makes no sense")
        key, _, value = extension[at + len(digits) + 1 : at + int(digits) - 1].partition(b"=")
        records[key] = value
        at += int(digits)
    return records


def _after_sparse_map(descriptor: int, header: bytes, data: int) -> int:
    """Old GNU sparse files: further blocks of their map stand between header and data, the last marked by a 0."""
    more = header[482]
    while more:
        block = os.pread(descriptor, _BLOCK, data)
        if len(block) < _BLOCK:
            raise TarDamagedError(_ENDS_EARLY)
        more = block[504]
        data += _BLOCK
    return data
