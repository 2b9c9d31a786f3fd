"""Tars whose bytes are a pure function of their members: no clock, no user, no random names."""

import hashlib
import io
import tarfile
from typing import BinaryIO

BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * BLOCK)


class TarWriter:
    """Writes members one after the other (USTAR, mtime 0) and says where each one lies."""

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
    """The members of a run of tar blocks, such as one sample cut out of its shard.

    Raises `tarfile.ReadError` if the blocks are not a tar.
    """
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        return {info.name: _content(archive, info) for info in archive if info.isfile()}


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    return file.read() if file is not None else b""
