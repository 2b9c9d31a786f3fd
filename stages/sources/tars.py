"""Tars that hold photos, as WebDataset and img2dataset write them: `KEY.jpg`, `KEY.json`, `KEY.txt` side by side."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import pyarrow as pa

from facerefs.schemas.paths import text_of_path
from facerefs.schemas.tar_members import Member, TarDamagedError, is_tar, members
from facerefs.stages.sources.kind import SourceKind, SourcePlace
from facerefs.stages.sources.lists.columns import NONE, ColumnNames, check_row_columns, find_row_columns
from facerefs.stages.sources.lists.list_rows import BadRowError, Row, bad_row, source_columns, tables
from facerefs.stages.sources.lists.tally import Tally
from facerefs.stages.sources.source import SourceError
from facerefs.stages.sources.tar_annotations import JSON, read_annotations
from facerefs.stages.sources.tar_index import TarIndex, annotation_ending, is_photo, member_name

_ROLES = ("url", "identity", "bbox", "sha256", "licence", "page", "attribution")
_USUAL = ("url", "identity", "licence", "page", "attribution")
_TAR = re.compile(r"\.(tar(\.\w+)?|tgz|tbz2?|txz|tzst)$", re.IGNORECASE)  # also compressed ones, to say so
_NAMES_OF_PEOPLE = (".txt", ".cls")


class TarFile(Protocol):
    """A tar, on this machine or in object storage."""

    @property
    def place(self) -> str:
        """Its path or address, as references to its photos have it."""

    @property
    def modified_ns(self) -> int:
        """When it was last written, in nanoseconds since 1970."""

    def opened(self) -> AbstractContextManager[int]:
        """A descriptor to read it, until the block ends. Raises SourceError."""


@dataclass(frozen=True)
class LocalTar:
    """A tar on this machine; see `TarFile`."""

    path: Path

    @property
    def place(self) -> str:
        """Its absolute path."""
        return text_of_path(str(self.path))

    @property
    def modified_ns(self) -> int:
        """When it was last written."""
        return self.path.stat().st_mtime_ns

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor to read it."""
        try:
            with self.path.open("rb", buffering=0) as file:
                yield file.fileno()
        except OSError as error:
            raise SourceError(f"cannot read {self.place}: {error.strerror}") from error


@dataclass(frozen=True)
class TarSource:
    """Photos in tars, read where they lie. The annotations of a photo come from the JSON of the same name.

    The JSON's `sha256` and `bbox` count only if `columns` names them: img2dataset writes those of the original,
    of which it may have kept a smaller copy. After the last row, `notes` has sentences about the listing.
    """

    service_query: ClassVar[str | None] = None

    files: tuple[TarFile, ...]
    root: str
    """The folder in which all of them lie."""
    columns: ColumnNames
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The place of the tar; the folder, where there are several."""
        return self.files[0].place if len(self.files) == 1 else self.root

    def rows(self) -> Iterator[pa.Table]:
        """The photos of all tars. One that breaks off gives what it has, and a rejected row that says so."""
        self.notes.clear()
        tally, files = Tally(), _OtherFiles()
        rows = (row for file in self.files for row in self._rows_of(file, tally, files))
        yield from tally.counted(tables(rows))
        self.notes.extend((*tally.notes(), *files.notes(names_are_missing=not tally.has("name"))))

    def _rows_of(self, file: TarFile, tally: Tally, files: "_OtherFiles") -> Iterator[tuple[str, Row]]:
        tar = file.place.removeprefix(self.root).lstrip("/")
        with file.opened() as descriptor:
            reader = _TarReader(descriptor, file, self.columns, tally)
            try:
                for number, member in reader.index.photos():
                    name = member_name(member)
                    files.folder = files.folder or name.rpartition("/")[0]
                    yield f"member {number}", {**reader.row(member), "key": f"{tar}/{name}"}
            except TarDamagedError as error:
                yield "end", bad_row(tar, f"the tar is damaged: {error}")
            files.count(reader.index)


class _TarReader:
    """Makes the rows of one tar."""

    def __init__(self, descriptor: int, file: TarFile, columns: ColumnNames, tally: Tally) -> None:
        self._endings = _endings(columns)
        self.index = TarIndex(descriptor, self._endings)
        self._descriptor = descriptor
        self._place = file.place
        self._modified_ns = file.modified_ns
        self._roles_of = find_row_columns(columns, file.place, _ROLES, _USUAL)
        self._tally = tally
        for ending in self.index.endings:
            tally.have(f".{ending}")

    def row(self, member: Member) -> Row:
        """The row of a photo, but for its key."""
        if member.oddity is not None:
            return bad_row("", f"it is {member.oddity}, not a plain file")
        at = {"path": self._place, "offset": member.offset, "length": member.length}
        try:
            return {"photo": at, "modified_ns": self._modified_ns, **self._facts(member_name(member))}
        except (BadRowError, SourceError) as error:
            return bad_row("", str(error))

    def _facts(self, name: str) -> Row:
        files = self.index.annotations(name)
        for ending in self._endings:
            if ending not in files:
                self._tally.lack(f".{ending}", name)
        annotations = read_annotations(self._descriptor, files)
        roles = self._roles_of(tuple(annotations))
        facts = source_columns(annotations, roles)
        self._tally.compare(annotations.get(roles.get("identity", "")), facts["label"])
        return facts


class _OtherFiles:
    """Counts the files of tars that are neither photos nor the annotations of one, and knows a folder of photos."""

    def __init__(self) -> None:
        self.folder = ""
        self._unread = Counter[str]()
        self._without_photo = Counter[str]()

    def count(self, index: TarIndex) -> None:
        """Count those of a tar, after its last photo."""
        self._unread.update(index.unread)
        self._without_photo.update(index.without_photo())

    def notes(self, names_are_missing: bool) -> Iterator[str]:
        """A sentence on each kind; with the way to names, if there are none."""
        for ending, count in self._without_photo.items():
            yield f"{count} files .{ending} belong to no photo that is accepted"
        if self._unread:
            kinds = ", ".join(
                f"{count} {ending or 'without an ending'}" for ending, count in self._unread.most_common()
            )
            yield f"files that are not read: {kinds}"
        labels = [ending for ending in _NAMES_OF_PEOPLE if self._unread[ending]]
        if labels and names_are_missing:
            setting = f"--set columns.identity={labels[0][1:]}"
            yield f"no photo has a name: {setting} takes it from the {labels[0]} beside each photo"
        elif names_are_missing and self.folder:
            yield (
                f"no photo has a name: folders in a tar, such as {self.folder}, are not taken for people; if they are, "
                "unpack it and give the folder"
            )


def open_tars(paths: Sequence[Path], columns: ColumnNames) -> TarSource:
    """The photos of tars. Raises SourceError for a file that is compressed or not a tar, if `columns` names a column
    that the first samples do not have, and if no tar holds a photo."""
    resolved = sorted(path.parent.resolve() / path.name for path in paths)
    root = os.path.commonpath([path.parent for path in resolved])
    return open_tar_files(tuple(map(LocalTar, resolved)), text_of_path(root), columns)


def open_tar_files(files: tuple[TarFile, ...], root: str, columns: ColumnNames) -> TarSource:
    """The photos of tars, wherever they are; see `open_tars`. root: the folder in which all of them lie."""
    for file in files:
        _check(file)
    source = TarSource(files, root, columns)
    if not any(map(_has_photo, files)):
        raise SourceError(
            f"{source.name} holds no photos: no file in it ends in .jpg, .png, .webp or the like, or begins like those"
        )
    some = files if any(name not in (None, NONE) for name in vars(columns).values()) else files[:1]
    check_row_columns(_annotation_names(some, columns), columns, source.name, _ROLES, _USUAL)
    return source


def _check(file: TarFile) -> None:
    shown = file.place
    with file.opened() as descriptor:
        if is_tar(descriptor):
            return
        packed = os.pread(descriptor, 6, 0)
    if not shown.lower().endswith(".tar") or packed.startswith(
        (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
    ):
        raise SourceError(
            f"{shown} is compressed, and photos in it have no place that can be referred to: "
            "unpack it first, for example with gunzip"
        )
    raise SourceError(f"{shown} is no tar: it does not begin with the header of a file")


def _has_photo(file: TarFile) -> bool:
    with file.opened() as descriptor:
        try:
            return any(is_photo(descriptor, member, member_name(member)) for member in members(descriptor))
        except TarDamagedError:
            return False


def _endings(columns: ColumnNames) -> tuple[str, ...]:
    """The endings of files with annotations, the longest first: `json`, and what may be that of the identity."""
    named = [] if columns.identity in (None, NONE) else [str(columns.identity)]
    return tuple(sorted({JSON, *named}, key=len, reverse=True))


def _annotation_names(files: Sequence[TarFile], columns: ColumnNames) -> Iterator[tuple[str, ...]]:
    """The names in each file of annotations that can be read, in the order of the tars."""
    for file in files:
        with file.opened() as descriptor, suppress(TarDamagedError):
            for member in members(descriptor):
                ending = annotation_ending(member, member_name(member), _endings(columns))
                with suppress(BadRowError):  # it will be a rejected row
                    if ending is not None:
                        yield tuple(read_annotations(descriptor, {ending: member}))


def _open(place: SourcePlace, columns: ColumnNames) -> TarSource | None:
    tars = [path for path in place.files if _TAR.search(path.name)]
    return open_tars(tars, columns) if tars else None


TARS = SourceKind(
    name="tars",
    example="FILE.tar",
    photos="Photos in a tar, or in a folder of tars, as WebDataset and img2dataset write them.",
    settings=ColumnNames,
    section="columns",
    open=_open,
    reads=lambda path: path.suffix.lower() == ".tar",
)
