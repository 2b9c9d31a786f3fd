"""A training set of facerefs as a source: its ground truth, with the names of people and the origin of each photo."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from facerefs.schemas.file_names import BLOBS_FOLDER
from facerefs.schemas.paths import text_of_path
from facerefs.schemas.sample import GROUND_TRUTH, JSON, MAX_JSON_BYTES, read_json
from facerefs.schemas.shard_files import second_copies
from facerefs.schemas.tables import TABLES
from facerefs.schemas.tar_members import Member, TarDamagedError, is_tar, plain_files
from facerefs.stages.images.photo_files import has_photo_extension
from facerefs.stages.sources.kind import NoSettings, SourceKind, SourcePlace
from facerefs.stages.sources.lists.list_rows import BadRowError, Row, bad_row, source_columns, tables
from facerefs.stages.sources.outputs import (
    has_samples,
    is_build,
    is_run,
    samples_folder,
    shards_in_manifest,
)
from facerefs.stages.sources.source import SourceError

_STATED = ("url", "page", "licence", "attribution")
_ROLES = {name: name for name in (*_STATED, "identity")}
_PEEKED_FILES = 200
_WITH_GROUND_TRUTH = "its ground truth is taken, with names and licences"


@dataclass
class _Faces:
    """Which faces are ground truth, and which are references."""

    targets: set[str] = field(default_factory=set)
    references: set[str] = field(default_factory=set)

    def add(self, record: dict[str, Any]) -> None:
        """Note the faces of a sample."""
        references = record.get("references")
        for face in references if isinstance(references, list) else []:
            if isinstance(face, dict) and "synthesis" not in face:
                self.references.add(str(face.get("face")))
        self.targets.add(str(_target(record).get("face")))


@dataclass(frozen=True)
class TrainingSetSource:
    """The ground truth of a training set, read from its shards where they lie.

    The label of a photo is the person of its sample. After the last row, `notes` says what was not taken.
    """

    service_query: ClassVar[str | None] = None

    place: Path
    tars: tuple[Path, ...]
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The folder of the shards, or the only shard."""
        return text_of_path(str(self.place))

    def rows(self) -> Iterator[pa.Table]:
        """The ground truth of all samples. A shard that is missing or damaged is a rejected row that says so."""
        faces = _Faces()
        self.notes[:] = [f"{self.name} is a training set of facerefs: {_WITH_GROUND_TRUTH}"]
        yield from tables(row for path in self.tars for row in _rows_of(path, faces))
        if others := faces.references - faces.targets:
            self.notes.append(
                f"{len(others)} references are the ground truth of no sample: they are not taken"
            )


def _rows_of(path: Path, faces: _Faces) -> Iterator[tuple[str, Row]]:
    shown = text_of_path(path.name)
    try:
        with path.open("rb", buffering=0) as file:
            descriptor, place = file.fileno(), text_of_path(str(path))
            modified_ns = os.fstat(descriptor).st_mtime_ns
            for key, files in _samples(descriptor):
                row = _row(descriptor, key, files, faces)
                if "reject" not in row:
                    truth = files[str(GROUND_TRUTH.find(files))]
                    at = {"path": place, "offset": truth.offset, "length": truth.length}
                    row |= {"photo": at, "modified_ns": modified_ns}
                yield f"in {shown}", row
    except TarDamagedError as error:
        yield "end", bad_row(shown, f"the shard is damaged: {error}")
    except OSError as error:
        yield "end", bad_row(shown, f"the shard cannot be read: {error.strerror}")


def _samples(descriptor: int) -> Iterator[tuple[str, dict[str, Member]]]:
    """The samples of a shard: the key, and the files by the part of their names after it."""
    visible = (member for member in plain_files(descriptor) if _split(member)[0])
    for key, members in groupby(visible, lambda member: _split(member)[0]):
        yield key, {_split(member)[1]: member for member in members}


def _split(member: Member) -> tuple[str, str]:
    """Key and further name of a file; no key for a hidden file."""
    key, _, kind = text_of_path(os.fsdecode(member.name)).rpartition("/")[2].partition(".")
    return key, kind


def _row(descriptor: int, key: str, files: dict[str, Member], faces: _Faces) -> Row:
    """The row of a sample, but for the place of its ground truth."""
    name = GROUND_TRUTH.find(files)
    if name is None:
        return bad_row(key, "the sample has no ground truth")
    row_key = f"{key}.{name}"
    try:
        record = _record(descriptor, files)
        row = source_columns(_annotations(key, record), _ROLES)
    except (BadRowError, ValueError) as error:
        return bad_row(row_key, str(error))
    if record:
        faces.add(record)
    return row | {"key": row_key}


def _record(descriptor: int, files: dict[str, Member]) -> dict[str, Any]:
    """The JSON of a sample, of any version. Raises ValueError."""
    member = files.get(str(JSON.find(files)))
    if member is None:
        return {}
    return read_json(os.pread(descriptor, min(member.length, MAX_JSON_BYTES + 1), member.offset))


def _annotations(key: str, record: dict[str, Any]) -> dict[str, Any]:
    """What is known of a photo, under the names of `_ROLES`; all other names are provenance."""
    target = _target(record)
    origin = {"sample": key, "photo": target.get("key"), "photo_sha256": target.get("image")}
    origin |= {"photo_label": target.get("label"), "split": record.get("split")}
    return {name: target.get(name) for name in _STATED} | {"identity": record.get("identity")} | origin


def _target(record: dict[str, Any]) -> dict[str, Any]:
    target = record.get("target")
    return target if isinstance(target, dict) else {}


def _is_shard(path: Path) -> bool:
    """Whether a tar has samples with ground truth and a degraded face."""
    with suppress(OSError, TarDamagedError), path.open("rb", buffering=0) as file:
        if not is_tar(file.fileno()):
            return False
        names: list[str] = []
        with suppress(TarDamagedError):
            names.extend(
                ".".join(_split(member)) for member in islice(plain_files(file.fileno()), _PEEKED_FILES)
            )
        return has_samples(names)
    return False


def _open(place: SourcePlace, _: NoSettings) -> TrainingSetSource | None:
    """None for what facerefs has not written. Raises SourceError for its pictures that are no photos."""
    path = place.path
    if path is None:
        return None
    shown, whole = text_of_path(str(path)), path.resolve()
    run = next((folder for folder in (whole, *whole.parents) if is_run(folder)), None)
    if run is not None:
        raise SourceError(
            f"{shown} belongs to the training run {text_of_path(str(run))}: its pictures are no photos of people"
        )
    if path.is_dir():
        for folder in (whole, samples_folder(whole)):
            if folder != whole and not is_build(whole) and _holds_more(whole, folder):
                continue  # else the photos beside it would be lost
            if (names := shards_in_manifest(folder)) is not None:
                return _opened(folder, [folder / name for name in names])
        if is_build(whole) or (is_build(whole.parent) and samples_folder(whole.parent) == whole):
            raise SourceError(
                f"{shown} holds a build without a finished training set: run the same facerefs build again, "
                "or give the photos that it was made from"
            )
    return _without_manifest(place, whole, shown)


def _holds_more(folder: Path, samples: Path) -> bool:
    """Whether a folder has photos or folders besides its training set."""
    others = (path for path in folder.iterdir() if path != samples and not path.name.startswith("."))
    return any(path.is_dir() or has_photo_extension(path.name) for path in others)


def _without_manifest(place: SourcePlace, whole: Path, shown: str) -> TrainingSetSource | None:
    tars = [path.resolve() for path in place.files if path.suffix.lower() == ".tar"]
    shards = [path for path in tars if _is_shard(path)]
    others = [path for path in tars if path not in shards]
    if whole.is_dir() and shards:
        others += [path for path in sorted(whole.iterdir()) if has_photo_extension(path.name)]
    if shards and others:
        raise SourceError(
            f"{shown} mixes shards of a training set, such as {text_of_path(shards[0].name)}, with other photos, such "
            f"as {text_of_path(others[0].name)}: give each kind a folder of its own"
        )
    if shards:
        return _opened(whole, shards)
    build = next((folder for folder in whole.parents if is_build(folder)), None)
    if build is not None and whole.relative_to(build).parts[0] in (*TABLES, BLOBS_FOLDER):
        raise SourceError(
            f"{shown} belongs to the build {text_of_path(str(build))}: give that folder, whose ground truth is taken, "
            "or the photos that it was made from"
        )
    if whole.is_dir() and has_samples(path.name for path in whole.iterdir()):
        raise SourceError(
            f"{shown} holds samples of a training set, KEY.gt.jpg, KEY.lq.jpg and so on: give their tars as SOURCE, "
            "whose ground truth is taken; or move the ground truth to a folder of its own"
        )
    return None


def _opened(place: Path, tars: Sequence[Path]) -> TrainingSetSource:
    if not tars:
        raise SourceError(
            f"{text_of_path(str(place))} is a training set without samples: there is nothing to take"
        )
    copies = second_copies(list(tars))
    return TrainingSetSource(place, tuple(path for path in sorted(tars) if path not in copies))


TRAINING_SET = SourceKind(
    name="training_set",
    example="set/",
    photos="The ground truth of a training set that facerefs made: a build, its folder samples, or a shard.",
    settings=NoSettings,
    open=_open,
)
