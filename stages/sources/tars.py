"""Tars that hold photos, as WebDataset and img2dataset write them: `KEY.jpg`, `KEY.json`, `KEY.txt` side by side."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from facerefs.schemas.paths import text_of_path
from facerefs.schemas.tar_members import Member, TarDamagedError, is_tar, members
from facerefs.stages.images.photo_files import has_photo_extension
from facerefs.stages.sources.kind import SourceKind, SourcePlace
from facerefs.stages.sources.lists.columns import NONE, ColumnNames, find_columns
from facerefs.stages.sources.lists.list_rows import BadRowError, Row, bad_row, source_columns, tables
from facerefs.stages.sources.source import SourceError

_ROLES = ("url", "identity", "bbox", "sha256", "licence", "page", "attribution")
_USUAL = ("url", "identity", "licence", "page", "attribution")
_MAX_JSON_BYTES = 1 << 20
_MAX_NAME_BYTES = 1 << 10
_MAX_FILES_PER_SAMPLE = 1000
_PEEKED_SAMPLES = 100


@dataclass
class _Sample:
    """Consecutive files of a tar whose names are the same up to the first dot."""

    key: str
    photos: list[tuple[int, Member]] = field(default_factory=list)  # with their number in the tar
    texts: dict[str, Member] = field(
        default_factory=dict
    )  # by the extension: `json` and that of the identity
    files: int = 0


@dataclass(frozen=True)
class TarSource:
    """Photos in tars, read where they lie. The annotations of a photo come from the JSON beside it.

    The JSON's `sha256` and `bbox` count only if `columns` names them: img2dataset writes those of the original,
    of which it may have kept a smaller copy.
    """

    service_query: ClassVar[str | None] = None
    notes: ClassVar[tuple[str, ...]] = ()

    paths: tuple[Path, ...]
    columns: ColumnNames

    @property
    def name(self) -> str:
        """The tar's absolute path; the folder, where there are several."""
        return text_of_path(str(self.paths[0] if len(self.paths) == 1 else self.root))

    @property
    def root(self) -> Path:
        """The folder in which all of them lie."""
        return Path(os.path.commonpath([path.parent for path in self.paths]))

    def rows(self) -> Iterator[pa.Table]:
        """The photos of all tars. One that breaks off gives what it has, and a rejected row that says so."""
        return tables(row for path in self.paths for row in _rows_of(path, self.root, self.columns))


def open_tars(paths: Sequence[Path], columns: ColumnNames) -> TarSource:
    """The photos of tars. Raises SourceError for a file that is compressed or not a tar, if `columns` names a column
    that the first samples do not have, and if no tar holds a photo."""
    for path in paths:
        _check(path)
    source = TarSource(tuple(sorted(path.parent.resolve() / path.name for path in paths)), columns)
    if not any(_has_photo(path) for path in source.paths):
        raise SourceError(
            f"{source.name} holds no photos: no file in it ends in .jpg, .png, .webp or the like"
        )
    _check_columns(source.paths[0], columns)
    return source


def _check(path: Path) -> None:
    shown = text_of_path(str(path))
    with _opened(path) as descriptor:
        if is_tar(descriptor):
            return
        packed = os.pread(descriptor, 6, 0)
    if path.suffix != ".tar" or packed.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")):
        raise SourceError(
            f"{shown} is compressed, and photos in it have no place that can be referred to: "
            "unpack it first, for example with gunzip"
        )
    raise SourceError(f"{shown} is no tar: it does not begin with the header of a file")


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        with path.open("rb", buffering=0) as file:
            yield file.fileno()
    except OSError as error:
        raise SourceError(f"cannot read {text_of_path(str(path))}: {error.strerror}") from error


def _has_photo(path: Path) -> bool:
    with _opened(path) as descriptor:
        try:
            return any(_is_photo(_name(member)) for member in members(descriptor))
        except TarDamagedError:
            return False


def _check_columns(path: Path, columns: ColumnNames) -> None:
    """Raise SourceError if `columns` does not fit the first samples."""
    names: dict[str, None] = {}
    with _opened(path) as descriptor, suppress(TarDamagedError):
        for sample in islice(_samples(descriptor, columns), _PEEKED_SAMPLES):
            with suppress(BadRowError):  # it will be a rejected row
                names |= dict.fromkeys(_annotations(descriptor, sample))
    find_columns(list(names), columns, text_of_path(str(path)), _ROLES, _USUAL)


def _rows_of(path: Path, root: Path, columns: ColumnNames) -> Iterator[tuple[str, Row]]:
    tar = text_of_path(str(path.relative_to(root)))
    place = text_of_path(str(path))

    @lru_cache(maxsize=64)
    def roles_in(names: tuple[str, ...]) -> dict[str, str]:
        named = {role: name if name in (*names, None) else NONE for role, name in vars(columns).items()}
        return find_columns(names, ColumnNames(**named), place, _ROLES, _USUAL)

    with _opened(path) as descriptor:
        modified_ns = os.fstat(descriptor).st_mtime_ns
        try:
            for sample in _samples(descriptor, columns):
                facts = _facts(descriptor, sample, roles_in)
                for number, member in sample.photos:
                    key = f"{tar}/{_name(member)}"
                    at = {"path": place, "offset": member.offset, "length": member.length}
                    row = {"photo": at, "modified_ns": modified_ns, **facts, "key": key}
                    if member.oddity is not None:
                        row = bad_row(key, f"it is {member.oddity}, not a plain file")
                    yield f"member {number}", row
        except TarDamagedError as error:
            yield "end", bad_row(tar, f"the tar is damaged: {error}")


def _facts(descriptor: int, sample: _Sample, roles_in: Any) -> Row:
    if not sample.photos:
        return {}
    try:
        annotations = _annotations(descriptor, sample)
        return source_columns(annotations, roles_in(tuple(annotations)))
    except (BadRowError, SourceError) as error:
        return bad_row("", str(error))


def _samples(descriptor: int, columns: ColumnNames) -> Iterator[_Sample]:
    """The samples of a tar, in its order. Raises TarDamagedError after the last complete file."""
    sample = _Sample("")
    damage: TarDamagedError | None = None
    files = enumerate(members(descriptor), start=1)
    while True:
        try:
            number, member = next(files)
        except StopIteration:
            break
        except TarDamagedError as error:
            damage = error
            break
        name = _name(member)
        folder, _, base = name.rpartition("/")
        stem, _, extension = base.partition(".")
        if not stem:
            continue  # a hidden file, as macOS adds them
        key = f"{folder}/{stem}"
        if key != sample.key or sample.files == _MAX_FILES_PER_SAMPLE:
            yield sample
            sample = _Sample(key)
        sample.files += 1
        if _is_photo(name):
            sample.photos.append((number, member))
        elif extension in ("json", columns.identity) and member.oddity is None:
            sample.texts[extension] = member
    yield sample
    if damage is not None:
        raise damage


def _name(member: Member) -> str:
    return text_of_path(os.fsdecode(member.name)).removeprefix("./")


def _is_photo(name: str) -> bool:
    base = name.rpartition("/")[2]
    return not base.startswith(".") and has_photo_extension(base)


def _annotations(descriptor: int, sample: _Sample) -> Mapping[str, Any]:
    """The annotations of a sample: the fields of its JSON, and by its extension, the file with the identity."""
    annotations: dict[str, Any] = {}
    for extension, member in sample.texts.items():
        limit = _MAX_JSON_BYTES if extension == "json" else _MAX_NAME_BYTES
        if member.length > limit:
            raise BadRowError(f"{_name(member)[-80:]} has {member.length} bytes, at most {limit}")
        data = os.pread(descriptor, member.length, member.offset)
        try:
            annotations |= _object(data) if extension == "json" else {extension: data.decode()}
        except (ValueError, RecursionError) as error:
            raise BadRowError(f"{_name(member)[-80:]} cannot be read: {str(error)[:200]}") from error
    return annotations


def _object(data: bytes) -> dict[str, Any]:
    content = json.loads(data.decode("utf-8-sig"))
    if not isinstance(content, dict):
        raise ValueError(f"it holds a JSON {type(content).__name__}, not an object")
    return content


def _open(place: SourcePlace, columns: ColumnNames) -> TarSource | None:
    tars = [path for path in place.files if ".tar" in path.name.lower()[-8:]]
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
