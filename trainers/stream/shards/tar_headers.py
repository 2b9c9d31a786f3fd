"""Where the files in a stretch of a tar lie, from its headers alone: ustar, GNU and pax (POSIX.1-2017, `pax`).

Written for tars of strangers: nothing is unpacked, and every size is bounded before it is believed.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

BLOCK = 512
_MAX_EXTENSION_BYTES = 1 << 16  # of a long name or a pax header
_REGULAR = b"0\0" + b"7"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _FOLDER = b"LKxg5"


class Member(NamedTuple):
    """A file in a tar."""

    name: bytes
    header: int  # where its first header stands, that of an extended name included
    offset: int  # of its data
    length: int  # of its data

    @property
    def end(self) -> int:
        """Where its last padding ends."""
        return self.offset + -(-self.length // BLOCK) * BLOCK


class DamagedTar(ValueError):  # noqa: N818
    """Where and why a tar can be read no further, in one sentence."""


def members(descriptor: int, start: int, end: int) -> Iterator[Member]:
    """The plain files whose headers stand in [start, end) of an open file; a block of zeros ends them, too.

    Links, devices and folders are passed over. Raises DamagedTar after the last file that is whole.
    """
    header_at, offset = start, start
    extended: bytes | None = None
    size_in_pax: int | None = None
    while offset < end:
        header = os.pread(descriptor, BLOCK, offset)
        if len(header) < BLOCK:
            raise DamagedTar(f"it ends early, at byte {offset + len(header)}")
        if header[0] == 0 and not any(header):
            return
        kind, size = header[156], _size(header, offset)
        data = offset + BLOCK
        if kind in (_LONG_NAME, _PAX):
            extension = _extension(descriptor, data, size)
            if kind == _LONG_NAME:
                extended = extension.rstrip(b"\0")
            else:
                extended, size_in_pax = _path_and_size(extension, extended)
        elif kind not in (_LONG_LINK, _PAX_GLOBAL):
            if kind in _REGULAR:
                size = size if size_in_pax is None else size_in_pax
                if data + size > end:
                    raise DamagedTar(f"it ends early: the file at byte {offset} is said to have {size} bytes")
                yield Member(extended or _name(header), header_at, data, size)
            else:
                size = 0  # of links, folders and devices, whatever they say
            extended, size_in_pax = None, None
            header_at = data + -(-size // BLOCK) * BLOCK
        offset = data + -(-size // BLOCK) * BLOCK


def _name(header: bytes) -> bytes:
    name = header[: header.find(b"\0", 0, 100)] if b"\0" in header[:100] else header[:100]
    if header[345] and header[257:263] == b"ustar\0":
        return header[345:500].partition(b"\0")[0] + b"/" + name
    return name


def _size(header: bytes, offset: int) -> int:
    """The size that a header says, if the sum of its bytes, those of the sum itself taken as blanks, is right."""
    try:
        if _number(header[148:156]) == sum(header) - sum(header[148:156]) + 8 * 0x20:
            return _number(header[124:136])
    except ValueError:
        pass
    raise DamagedTar(f"there is no header at byte {offset}")


def _number(digits: bytes) -> int:
    """Octal digits, or, as GNU has it for large ones, a big-endian integer behind a byte 0x80."""
    if digits[0] & 0x80:
        if digits[0] != 0x80:
            raise ValueError("negative")
        return int.from_bytes(digits[1:], "big")
    number = int(digits.strip(b" \0") or b"0", 8)
    if number < 0:
        raise ValueError("negative")
    return number


def _extension(descriptor: int, data: int, size: int) -> bytes:
    if size > _MAX_EXTENSION_BYTES:
        raise DamagedTar(f"the name or extended header at byte {data} has {size} bytes")
    return os.pread(descriptor, size, data)


def _path_and_size(extension: bytes, path: bytes | None) -> tuple[bytes | None, int | None]:
    """Path and size among records of the form `LENGTH KEY=VALUE\\n`, the length that of the whole record."""
    at, size = 0, None
    while at < len(extension) and extension[at]:
        digits, blank, _ = extension[at : at + 20].partition(b" ")
        if not blank or not digits.isdigit() or not len(digits) + 1 < int(digits) <= len(extension) - at:
            raise DamagedTar("it has an extended header that makes no sense")
        key, _, value = extension[at + len(digits) + 1 : at + int(digits) - 1].partition(b"=")
        if key == b"path":
            path = value
        elif key == b"size":
            if not value.isdigit():
                raise DamagedTar("it has an extended header that makes no sense")
            size = int(value)
        elif key.startswith(b"GNU.sparse."):
            raise DamagedTar("it holds a sparse file")
        at += int(digits)
    return path, size
