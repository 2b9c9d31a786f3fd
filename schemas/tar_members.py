"""Find the locations of the files in a tar from its headers: ustar, GNU and pax (POSIX.1-2017, `pax`).

For untrusted tars: nothing is extracted, one header is in memory at a time, and every size is checked before use.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

BLOCK = 512
_MAX_EXTENSION_BYTES = 1 << 16  # of a long name or a pax header; a longer one is not read
_REGULAR = {b"0", b"\0", b"7"}
_FOLDER = b"5"
_WITHOUT_DATA = {  # whatever size their headers claim
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    _FOLDER: "a folder",
    b"6": "a pipe",
    b"V": "the label of a volume",
}
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _SPARSE = b"L", b"K", b"x", b"g", b"S"
_SPARSE_FILE = "a sparse file"
_NO_SENSE = "it has an extended header that makes no sense"


class Member(NamedTuple):
    """A file in a tar."""

    name: bytes
    header: int  # offset of its first header, including that of a long name
    offset: int  # of its data
    length: int  # of its data
    oddity: str | None = None  # what it is, if not a plain file: "a symbolic link"

    @property
    def end(self) -> int:
        """The offset after the padding of its data."""
        return _padded(self.offset + self.length)


class TarDamagedError(ValueError):
    """The tar cannot be read any further. The message is a clause about "it"."""


class _Extension(NamedTuple):
    """Properties of the next file from long-name and pax headers."""

    name: bytes | None = None
    pax_name: bytes | None = None
    size: int | None = None
    oddity: str | None = None


def is_tar(descriptor: int) -> bool:
    """Whether an open file begins like a tar; also True for an empty tar."""
    header = os.pread(descriptor, BLOCK, 0)
    return len(header) == BLOCK and (not any(header) or _checksum_is_right(header))


def members(descriptor: int, start: int = 0, end: int | None = None) -> Iterator[Member]:
    """The files whose headers are in [start, end) of an open tar, in order; a block of zeros also ends the tar.

    end: if None, there must be such a block. Folders are left out. Raises TarDamagedError after the last complete
    file.
    """
    limit = os.fstat(descriptor).st_size if end is None else end
    first_header = offset = start
    extension = _Extension()
    while end is None or offset < end:
        header = os.pread(descriptor, BLOCK, offset)
        if len(header) < BLOCK:
            raise TarDamagedError(f"it ends early, at byte {offset + len(header)}")
        if header[0] == 0 and not any(header):
            return
        kind, length = header[156:157], _length(header, offset)
        data = offset + BLOCK
        is_extension = kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL)
        if not is_extension:
            data = _after_sparse_map(descriptor, header, data) if kind == _SPARSE else data
            length = 0 if kind in _WITHOUT_DATA else length if extension.size is None else extension.size
        if data + length > limit:
            raise TarDamagedError(f"it ends early: the file at byte {offset} is said to have {length} bytes")
        offset = _padded(data + length)
        if is_extension:
            extension = _extended(extension, kind, descriptor, data, length)
            continue
        if kind != _FOLDER:
            name = extension.pax_name or extension.name or _name(header)
            yield Member(name, first_header, data, length, extension.oddity or _oddity(kind))
        extension, first_header = _Extension(), offset


def plain_files(descriptor: int, start: int = 0, end: int | None = None) -> Iterator[Member]:
    """The members that are regular files; links, devices and the like are skipped.

    Raises TarDamagedError as `members` does, and for a file whose bytes in the tar differ from its content: sparse.
    """
    for member in members(descriptor, start, end):
        if member.oddity is None:
            yield member
        elif member.oddity not in _WITHOUT_DATA.values():
            raise TarDamagedError(f"the file at byte {member.header} is {member.oddity}")


def _padded(offset: int) -> int:
    return -(-offset // BLOCK) * BLOCK


def _oddity(kind: bytes) -> str | None:
    if kind == _SPARSE:
        return _SPARSE_FILE
    return None if kind in _REGULAR else _WITHOUT_DATA.get(kind, f"of the unknown type {kind!r}")


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    if header[345] and header[257:263] == b"ustar\0":
        return header[345:500].partition(b"\0")[0] + b"/" + name
    return name


def _length(header: bytes, offset: int) -> int:
    """The size in a header. Raises TarDamagedError if it is not a valid header."""
    if not _checksum_is_right(header):
        raise TarDamagedError(f"there is no header at byte {offset}")
    try:
        return _number(header[124:136])
    except ValueError:
        raise TarDamagedError(f"the file at byte {offset} has no size that can be read") from None


def _number(field: bytes) -> int:
    """The number in a header field: octal digits, or big-endian after a byte 0x80 (GNU). Raises ValueError."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    number = int(field.strip(b" \0") or b"0", 8)
    if number < 0:
        raise ValueError("negative")
    return number


def _checksum_is_right(header: bytes) -> bool:
    """Whether the checksum is the sum of the header's bytes, with the checksum field counted as blanks."""
    try:
        return _number(header[148:156]) == sum(header) - sum(header[148:156]) + 8 * 0x20
    except ValueError:
        return False


def _extended(before: _Extension, kind: bytes, descriptor: int, data: int, length: int) -> _Extension:
    if kind in (_LONG_LINK, _PAX_GLOBAL):
        return before
    if length > _MAX_EXTENSION_BYTES:
        return before._replace(
            oddity=f"a file whose extended header has more than {_MAX_EXTENSION_BYTES} bytes"
        )
    text = os.pread(descriptor, length, data).rstrip(b"\0")
    if kind == _LONG_NAME:
        return before._replace(name=text)
    pax = _pax_records(text)
    oddity = _SPARSE_FILE if any(key.startswith(b"GNU.sparse.") for key in pax) else None
    return _Extension(before.name, pax.get(b"path"), _pax_size(pax.get(b"size")), before.oddity or oddity)


def _pax_size(digits: bytes | None) -> int | None:
    if digits is None:
        return None
    if not digits.isdigit() or len(digits) > 20:  # longer ones exceed 64 bits
        raise TarDamagedError(_NO_SENSE)
    return int(digits)


def _pax_records(text: bytes) -> dict[bytes, bytes]:
    """Records of the form `LENGTH KEY=VALUE\\n`, where LENGTH counts the whole record."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(text):
        digits, blank, _ = text[at : at + 20].partition(b" ")
        if not blank or not digits.isdigit() or not len(digits) + 1 < int(digits) <= len(text) - at:
            raise TarDamagedError(_NO_SENSE)
        key, _, value = text[at + len(digits) + 1 : at + int(digits) - 1].partition(b"=")
        records[key] = value
        at += int(digits)
    return records


def _after_sparse_map(descriptor: int, header: bytes, data: int) -> int:
    """The offset of the data of an old GNU sparse file: after the extra blocks of its map, the last marked by a 0."""
    more = header[482]
    while more:
        block = os.pread(descriptor, BLOCK, data)
        if len(block) < BLOCK:
            raise TarDamagedError(f"it ends early, at byte {data + len(block)}")
        more = block[504]
        data += BLOCK
    return data
