"""Writes tars whose bytes depend on their members alone: no clock, no user, no random names."""

import hashlib
import io
import tarfile
from typing import BinaryIO

BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * BLOCK)


class TarWriter:
    """Writes members one after the other (USTAR, mtime 0); `add` returns their offsets."""

    def __init__(self, file: BinaryIO, digest: bool = True) -> None:
        self._file = file
        self._digest = hashlib.sha256() if digest else None
        self.size = 0

    def add(self, name: str, data: bytes | memoryview) -> int:
        """Append a member; returns the offset of its first data byte."""
        info = tarfile.TarInfo(name)
        info.size = len(data)
        info.mode = 0o644
        self._write(info.tobuf(tarfile.USTAR_FORMAT))
        offset = self.size
        self._write(data)
        self._write(bytes(-len(data) % BLOCK))
        return offset

    def append(self, blocks: bytes) -> int:
        """Append members as another tar holds them, with their headers and padding; returns where they begin."""
        offset = self.size
        self._write(blocks)
        return offset

    def close(self) -> str | None:
        """Write the end of the archive; returns the SHA-256 of the whole tar, hexadecimal, if it is wanted."""
        self._write(_END)
        return None if self._digest is None else self._digest.hexdigest()

    def _write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        if self._digest is not None:
            self._digest.update(data)
        self.size += len(data)


def read_members(data: bytes) -> dict[str, bytes]:
    """The members of a run of tar blocks, such as one sample cut out of its shard, by their names in their order.

    Raises `tarfile.ReadError` unless it holds only plain files, each once, and then zeros: a sparse member could claim
    any size, and `tarfile` silently ignores what follows a damaged header.
    """
    members: dict[str, bytes] = {}
    end = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for info in archive:
                file = archive.extractfile(info) if info.isreg() and not info.issparse() else None
                if file is None or info.name in members:
                    raise tarfile.ReadError(f"{info.name:.200} is no plain file, or is there twice")
                members[info.name] = file.read()
                end = info.offset_data + -(-info.size // BLOCK) * BLOCK
    except (ValueError, OSError, EOFError, OverflowError) as error:
        raise tarfile.ReadError(f"{error!r:.200}") from None
    if end > len(data) or data.count(0, end) < len(data) - end:
        raise tarfile.ReadError(f"what begins at byte {end} is no member")
    return members
