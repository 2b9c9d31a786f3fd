"""Finds the annotations of each photo in a tar: the files that have its name but another ending."""

import os
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from facerefs.schemas.paths import text_of_path
from facerefs.schemas.tar_members import Member, TarDamagedError, members
from facerefs.stages.images.photo_files import START_BYTES, begins_as_photo, has_photo_extension
from facerefs.stages.sources.lists.list_rows import BadRowError

_Hashes: TypeAlias = npt.NDArray[np.int64]
_MOST_DOTS = 8  # of a photo's name at which the name of its annotation may end
_MOST_ENDINGS = 100


def member_name(member: Member) -> str:
    """The name of a file in a tar, as text."""
    return text_of_path(os.fsdecode(member.name)).removeprefix("./")


def is_photo(descriptor: int, member: Member, name: str) -> bool:
    """Whether a file is a photo by its name or, if that does not say so (`1.jpg?w=1024`), by its first bytes.

    Hidden files, as macOS adds them, are none.
    """
    if name.rpartition("/")[2].startswith("."):
        return False
    if has_photo_extension(name):
        return True
    size = min(member.length, START_BYTES)
    return member.oddity is None and begins_as_photo(os.pread(descriptor, size, member.offset))


def annotation_ending(member: Member, name: str, endings: Sequence[str]) -> str | None:
    """That of the endings which the name of a plain file has, in any case of letters."""
    base = name.rpartition("/")[2].casefold()
    if member.oddity is not None or base.startswith("."):
        return None
    return next((ending for ending in endings if base.endswith(f".{ending.casefold()}")), None)


@dataclass
class _Names:
    """Names as two hashes, of which the second ignores case."""

    spelled: "array[int]" = field(default_factory=lambda: array("q"))
    folded: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, name: str) -> None:
        self.spelled.append(hash(name))
        self.folded.append(_folded(name))

    def arrays(self) -> tuple[_Hashes, _Hashes]:
        return np.frombuffer(self.spelled, np.int64), np.frombuffer(self.folded, np.int64)


@dataclass
class _Texts:
    """Files of one ending: their names without it, and where they are in the tar."""

    names: _Names = field(default_factory=_Names)
    headers: "array[int]" = field(default_factory=lambda: array("q"))


class TarIndex:
    """The photos of a tar in its order, and the files with their annotations, wherever they stand.

    One pass over the headers; some 24 bytes for each photo and annotation stay in memory, and more during the pass.
    """

    def __init__(self, descriptor: int, endings: Sequence[str]) -> None:
        self._descriptor = descriptor
        self._photos, self._numbers = array("q"), array("q")
        self._damage: TarDamagedError | None = None
        self.unread = Counter[str]()
        """The other files, by the ending of their name."""
        texts, names, prefixes = {ending: _Texts() for ending in endings}, array("q"), _Names()
        self._read(texts, names, prefixes)
        self._twice = _occurring_twice(names)
        self._ambiguous = _spelled_differently(prefixes)
        self._annotations = {ending: _Annotations(files) for ending, files in texts.items() if files.headers}

    def _read(self, texts: dict[str, _Texts], names: "array[int]", prefixes: _Names) -> None:
        try:
            for number, member in enumerate(members(self._descriptor), start=1):
                name = member_name(member)
                ending = annotation_ending(member, name, tuple(texts))
                if ending is not None:
                    texts[ending].names.add(name[: -len(ending) - 1])
                    texts[ending].headers.append(member.header)
                elif is_photo(self._descriptor, member, name):
                    self._photos.append(member.header)
                    self._numbers.append(number)
                    names.append(_photo_hash(name))
                    for prefix in _prefixes(name):
                        prefixes.add(prefix)
                else:
                    self._count_unread(name)
        except TarDamagedError as error:
            self._damage = error

    def _count_unread(self, name: str) -> None:
        base, ending = os.path.splitext(name.rpartition("/")[2])  # noqa: PTH122 (pathlib keeps each name that it sees)
        if not base.startswith("."):
            known = ending in self.unread or len(self.unread) < _MOST_ENDINGS
            self.unread[ending.lower()[:20] if known else "..."] += 1

    @property
    def endings(self) -> tuple[str, ...]:
        """The endings of which there are annotations."""
        return tuple(self._annotations)

    def photos(self) -> Iterator[tuple[int, Member]]:
        """The photos with their number in the tar, in its order. Raises TarDamagedError after the last whole one."""
        for number, header in zip(self._numbers, self._photos, strict=True):
            yield number, self._member(header)
        if self._damage is not None:
            raise self._damage

    def annotations(self, name: str) -> dict[str, Member]:
        """By ending, the files with the annotations of the photo of this name.

        Such a file has the photo's whole name before its ending, or else as much of it as possible up to a dot: of
        `A.B.ref.jpg` the whole stem `A.B.ref`, `A.B`, or WebDataset's key `A`. Case counts only where it must.

        Raises BadRowError if the tar has two such photos or files, or if nothing but case tells whose a file is.
        """
        if _photo_hash(name) in self._twice:
            raise BadRowError(
                "the tar has several photos of this name, so that nobody can tell whose annotations are whose"
            )
        found = {ending: self._header(files, name, ending) for ending, files in self._annotations.items()}
        return {ending: self._member(header) for ending, header in found.items() if header is not None}

    def _header(self, files: "_Annotations", name: str, ending: str) -> int | None:
        for prefix in _prefixes(name):
            folded = _folded(prefix)
            alike = files.alike(folded)
            if not alike:
                continue
            same = files.same(alike, hash(prefix))
            shown = f"{prefix.rpartition('/')[2][-80:]}.{ending}"
            if len(same) > 1:
                raise BadRowError(f"the tar has several files {shown}")
            if not same and (len(alike) > 1 or folded in self._ambiguous):
                raise BadRowError(f"it is not clear whose {shown} is: names in the tar differ in case only")
            return files.take(same or alike)
        return None

    def without_photo(self) -> dict[str, int]:
        """By ending, how many files of annotations no photo has taken yet."""
        return {ending: files.untaken() for ending, files in self._annotations.items() if files.untaken()}

    def _member(self, header: int) -> Member:
        for member in members(self._descriptor, header):
            return member
        raise TarDamagedError("it has changed while it was read")


class _Annotations:
    """The files of one ending, sorted by their names."""

    def __init__(self, files: _Texts) -> None:
        spelled, folded = files.names.arrays()
        order = np.lexsort((spelled, folded))
        self._spelled: _Hashes = spelled[order]
        self._folded: _Hashes = folded[order]
        self._headers: _Hashes = np.frombuffer(files.headers, np.int64)[order]
        self._taken = np.zeros(len(order), bool)

    def alike(self, folded: int) -> range:
        """The files of a name in any case of letters."""
        return _equal_range(self._folded, range(len(self._folded)), folded)

    def same(self, alike: range, spelled: int) -> range:
        """Those of them whose name is spelled just so."""
        return _equal_range(self._spelled, alike, spelled)

    def take(self, files: range) -> int:
        """The offset of the header of the first of them, which is a photo's from now on."""
        self._taken[files[0]] = True
        return int(self._headers[files[0]])

    def untaken(self) -> int:
        """How many files are no photo's."""
        return int(np.count_nonzero(~self._taken))


def _equal_range(hashes: _Hashes, within: range, value: int) -> range:
    some = hashes[within.start : within.stop]
    first = last = int(some.searchsorted(value))
    if first < len(some) and some[first] == value:
        last = int(some.searchsorted(value, "right"))
    return range(within.start + first, within.start + last)


def _prefixes(name: str) -> list[str]:
    """The name and what stands before each of its dots, longest first; of many dots the last few and the first."""
    folder, slash, base = name.rpartition("/")
    parts = base.split(".")
    counts = range(len(parts), 0, -1)
    tried = [*counts[:_MOST_DOTS], 1] if len(counts) > _MOST_DOTS else counts
    return [f"{folder}{slash}{'.'.join(parts[:count])}" for count in tried]


def _photo_hash(name: str) -> int:
    stem, ending = os.path.splitext(name)  # noqa: PTH122
    return hash(stem + ending.lower())  # 1.jpg and 1.JPG are one file to WebDataset


def _folded(text: str) -> int:
    return hash(text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold()))


def _occurring_twice(hashes: "array[int]") -> frozenset[int]:
    values, counts = np.unique(np.frombuffer(hashes, np.int64), return_counts=True)
    return frozenset(values[counts > 1].tolist())


def _spelled_differently(names: _Names) -> frozenset[int]:
    """The hashes without case of names that are spelled in several ways."""
    spelled, folded = names.arrays()
    order = np.argsort(folded)
    folded, spelled = folded[order], spelled[order]
    differ = (folded[1:] == folded[:-1]) & (spelled[1:] != spelled[:-1])
    return frozenset(folded[1:][differ].tolist())
