"""The files of one sample, read from its shard when they are accessed."""

import os
from collections.abc import Iterator, Mapping

from facerefs.schemas.tar_members import TarDamagedError, plain_files
from facerefs.trainers.stream.errors import BadSample

_MAX_FILES = 1000
_SHOWN = 8


class OpenShard:
    """An open tar, which is closed when it is no longer referenced."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.descriptor = descriptor
        self.name = name

    def __del__(self) -> None:
        os.close(self.descriptor)

    @property
    def is_deleted(self) -> bool:
        """Whether the file was removed from its folder, so that it uses disk space only because it is open."""
        return os.fstat(self.descriptor).st_nlink == 0


class AbsentFile(BadSample, KeyError):  # noqa: N818
    """A sample does not have the requested file."""

    __str__ = ValueError.__str__


class SampleFiles(Mapping[str, bytes]):
    """The bytes of a sample's files, by the part of their names after the key: "gt.png", "json".

    Headers are read at creation, bytes at each access, so that unused files cost nothing. Both raise BadSample; for a
    missing file this is also a KeyError, as for any mapping.
    """

    def __init__(self, shard: OpenShard, key: bytes, offset: int, length: int) -> None:
        self.key = key.decode(errors="replace")
        self._shard = shard
        self._places: dict[str, tuple[int, int]] = {}
        try:
            for member in plain_files(shard.descriptor, offset, offset + length):
                found, name = split_name(member.name)
                if is_hidden(found):
                    continue
                if found != key:
                    raise BadSample(f"its place in the shard holds {found.decode(errors='replace')}")
                if name in self._places:
                    raise BadSample(f"it has two files {name}")
                if len(self._places) == _MAX_FILES:
                    raise BadSample(f"it has more than {_MAX_FILES} files")
                self._places[name] = (member.offset, member.length)
        except TarDamagedError as error:
            raise BadSample(f"its part of the tar is damaged: {error}") from None
        except OSError as error:
            raise BadSample(f"it cannot be read: {error.strerror}") from None

    def __getitem__(self, name: str) -> bytes:
        if name not in self._places:
            there = ", ".join(sorted(self._places)[:_SHOWN]) or "none"
            raise AbsentFile(f"it has no file {name!r}; it has {there}")
        offset, length = self._places[name]
        try:
            data = os.pread(self._shard.descriptor, length, offset)
        except OSError as error:
            raise BadSample(f"its {name} cannot be read: {error.strerror}") from None
        if len(data) < length:
            raise BadSample(f"its {name} ends after {len(data)} of {length} bytes")
        return data

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __reduce__(self) -> tuple[type[dict[str, bytes]], tuple[dict[str, bytes]]]:
        """Pickled as a dictionary of the bytes of all files."""
        return dict, (dict(self),)


def is_hidden(key: bytes) -> bool:
    """Whether a file with this key is hidden, and of no sample: its name begins with a dot."""
    return not key or key.endswith(b"/")


def split_name(name: bytes) -> tuple[bytes, str]:
    """The sample's key, up to the first dot of the base name, and the part after that dot, of a tar member's name.

    As in WebDataset: folders belong to the key.
    """
    dot = name.find(b".", name.rfind(b"/") + 1)
    if dot < 0:
        return name, ""
    return name[:dot], name[dot + 1 :].decode(errors="replace")
