"""The trace of a sample, a face, a photo or a person in a copy of `samples/`: what the shards themselves tell."""

import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.lineage.theta import theta_of
from facerefs.pipeline.lineage.trace import (
    Asked,
    Choice,
    FaceTrace,
    Forward,
    Kind,
    PhotoTrace,
    Role,
    Row,
    SampleTrace,
    Trace,
    Use,
)
from facerefs.pipeline.storage.file_store import FileStore
from facerefs.pipeline.storage.tar import read_members
from facerefs.pipeline.text import shown
from facerefs.schemas.sample import PAIR, json_fault, read_json
from facerefs.schemas.tables import MAX_BLOB_BYTES, SAMPLES
from facerefs.schemas.tar_members import TarDamagedError, plain_files

UNTOLD = (
    "fetch decisions: robots, opt-out, attempts, redirects (table downloads of the build)",
    "copies: which photos were dropped for these (tables duplicates and copies)",
    "labels: why one was kept, corrected or dropped, and overrides.csv (table identities)",
    "references: which were refused, and which others there were (table pairs)",
    "photos and faces that no sample shows",
)
"""What only the build tells, with the table that does."""
_INDEX = ("key", "split", "identity", "target", "references", "recipe", "theta", "files", "reject")
_SOURCE = ("key", "url", "page", "licence", "attribution", "label")
_NOT_SHOWN = {"landmarks", "embedding", "boxes"}
_MOST_NEAR = 5
_DAMAGED = (ValueError, OSError, tarfile.ReadError, TarDamagedError)


@dataclass(frozen=True, eq=False)
class ShardSamples:
    """The samples of a folder of shards: the rows of the indexes, and the JSON of each in its tar."""

    folder: FileStore
    rows: tuple[Row, ...]  # with `part`
    unreadable: set[str] = field(default_factory=set)  # samples whose JSON could not be read

    @classmethod
    def of(cls, folder: FileStore) -> "ShardSamples":
        """Those of a folder. Raises UserError if an index is damaged or of no set."""
        names = sorted(
            name for name in folder.files("") if name.endswith(".parquet") and not name.startswith(".")
        )
        rows: list[Row] = []
        for name in names:
            try:
                index = ds.dataset(
                    [folder.full_path(name)], SAMPLES, format="parquet", filesystem=folder.filesystem
                )
                table = index.to_table(columns=list(_INDEX))
            except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
                raise UserError(f"{folder.address}/{name} cannot be read ({error}): copy it again") from None
            part = name.removesuffix(".parquet")
            rows += [row | {"part": part} for row in table.to_pylist() if row["reject"] is None]
        return cls(folder, tuple(rows))

    def records(self, rows: Iterable[Row]) -> Iterator[tuple[Row, Mapping[str, Any]]]:
        """The JSON of samples; those that cannot be read are noted in `unreadable`."""
        with ExitStack() as open_files:
            read = _Reader(self.folder, open_files)
            for row in rows:
                try:
                    record = read_json(read.json(row))
                    if fault := json_fault(record):
                        raise ValueError(fault)
                except _DAMAGED:
                    self.unreadable.add(str(row["key"]))
                    continue
                yield row, record


@dataclass(frozen=True)
class _Reader:
    """Reads the JSON of samples, of local shards without their images."""

    folder: FileStore
    open_files: ExitStack
    descriptors: dict[str, int] = field(default_factory=dict)

    def json(self, row: Row) -> bytes:
        """The bytes of a sample's JSON. Raises ValueError, OSError or tarfile.ReadError."""
        at = row["files"]
        if at is None or at["offset"] < 0 or not 0 < at["length"] <= MAX_BLOB_BYTES:
            raise ValueError("the index does not say where the sample is")
        name, wanted = f"{row['part']}.tar", f"{row['key']}.json"
        if not self.folder.is_local:
            with self.folder.filesystem.open_input_file(self.folder.full_path(name)) as file:
                return read_members(bytes(file.read_at(at["length"], at["offset"])))[wanted]
        if name not in self.descriptors:
            descriptor = os.open(self.folder.full_path(name), os.O_RDONLY)
            self.open_files.callback(os.close, descriptor)
            self.descriptors[name] = descriptor
        descriptor = self.descriptors[name]
        for member in plain_files(descriptor, at["offset"], at["offset"] + at["length"]):
            if member.name == wanted.encode():
                return os.pread(descriptor, min(member.length, MAX_BLOB_BYTES), member.offset)
        raise ValueError("the sample has no JSON")


def trace_in_shards(folder: FileStore, text: str, kind: Kind | None = None) -> Trace:
    """All that a copy of `samples/` tells. Raises UserError if nothing in it has this name."""
    samples = ShardSamples.of(folder)
    asked, hits = _asked(samples, text, kind)
    read = list(samples.records(hits))
    own = read if asked.kind == "sample" else []
    of_index = hits if asked.kind == "sample" else []
    json_of = {str(row["key"]): record for row, record in own}
    faces: dict[str, tuple[str | None, Mapping[str, Any]]] = {}
    for row, record in read:
        for role, face in _faces(record):
            wanted = asked.kind == "sample" or face["face"] in asked.faces
            if wanted:
                faces.setdefault(face["face"], (role if own else None, {**face, "identity": row["identity"]}))
    targets = {str(row["target"]) for row in of_index} or set(asked.faces)
    uses = [use for row in samples.rows for use in _uses(row, targets)]
    made = _made_elsewhere(samples, uses)
    uses = [replace(use, role="made elsewhere") if (use.sample, use.rank) in made else use for use in uses]
    untold = list(UNTOLD)
    if samples.unreadable:
        named = ", ".join(str(shown(key)) for key in sorted(samples.unreadable)[:_MOST_NEAR])
        untold.append(
            f"{len(samples.unreadable)} samples whose JSON cannot be read ({named}): facerefs verify says more"
        )
    return Trace(
        place=folder.address,
        whole_build=False,
        asked=asked,
        samples=tuple(_sample(row, json_of.get(str(row["key"]), {})) for row in of_index),
        photos=tuple(_photos(face for _, face in faces.values())),
        faces=tuple(_face(face, role) for role, face in faces.values()),
        choices=tuple({row["target"]: _choice(record) for row, record in own}.values()),
        overrides=(),
        forward=Forward(
            photos=tuple(sorted({face["key"] for _, face in faces.values()})),
            images=tuple(sorted({face["image"] for _, face in faces.values()})),
            uses=tuple(sorted(uses, key=lambda use: (use.sample, -1 if use.rank is None else use.rank))),
        ),
        untold=tuple(untold),
    )


def _asked(samples: ShardSamples, text: str, kind: Kind | None) -> tuple[Asked, list[Row]]:
    """What a text means, and the samples with it: of the indexes first, else of every JSON."""
    finders: tuple[Callable[[ShardSamples, str], dict[Kind, tuple[Asked, list[Row]]]], ...] = (
        _in_indexes,
        _in_records,
    )
    for find in finders:
        found = find(samples, text)
        if kind is not None:
            found = {name: one for name, one in found.items() if name == kind}
        if found:
            name, (asked, rows) = next(iter(found.items()))
            others = {other: len(one[1]) for other, one in found.items() if other != name}
            return replace(asked, others=others), rows
    near = [row["key"] for row in samples.rows if text[:8].lower() in row["key"].lower()]
    near += [row["identity"] for row in samples.rows if text.lower() in str(row["identity"]).lower()]
    names = ", ".join(str(shown(name)) for name in list(dict.fromkeys(near))[:_MOST_NEAR])
    lost = f"; {len(samples.unreadable)} samples cannot be read" if samples.unreadable else ""
    raise UserError(
        f"{shown(text)!r} is in no sample of {samples.folder.address}{f' as the kind {kind}' if kind else ''} "
        "(searched: keys, ids of faces, people, photos, URLs, pages, SHA-256 of photos)"
        f"{lost}{f'; near it: {names}' if names and text else ''}"
    )


def _in_indexes(samples: ShardSamples, text: str) -> dict[Kind, tuple[Asked, list[Row]]]:
    found: dict[Kind, tuple[Asked, list[Row]]] = {}
    if own := [row for row in samples.rows if row["key"] == text]:
        found["sample"] = Asked(text, "sample", samples=(text,)), own
    if used := [row for row in samples.rows if text in (row["target"], *(row["references"] or ()))]:
        found["face"] = Asked(text, "face", faces=(text,)), used
    if person := [row for row in samples.rows if row["identity"] == text]:
        faces = {face for row in person for face in (row["target"], *(row["references"] or ()))}
        found["person"] = Asked(text, "person", faces=tuple(sorted(faces))), person
    return found


def _in_records(samples: ShardSamples, text: str) -> dict[Kind, tuple[Asked, list[Row]]]:
    """What the JSON of every sample finds: photos, URLs, SHA-256 and labels."""
    columns: tuple[tuple[Kind, tuple[str, ...]], ...] = (
        ("photo", ("key",)),
        ("url", ("url", "page")),
        ("sha256", ("image",)),
        ("person", ("label",)),
    )
    faces: dict[Kind, set[str]] = {}
    rows: dict[Kind, list[Row]] = {}
    for row, record in samples.records(samples.rows):
        for kind, names in columns:
            hits = [face["face"] for _, face in _faces(record) if text in [face.get(name) for name in names]]
            if hits:
                faces.setdefault(kind, set()).update(hits)
                rows.setdefault(kind, []).append(row)
    return {
        kind: (Asked(text, kind, faces=tuple(sorted(faces[kind]))), rows[kind])
        for kind, _ in columns
        if kind in faces
    }


def _faces(record: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The faces of a sample with their roles, without references that were made of the target."""
    real = [
        (f"reference {number}", face)
        for number, face in enumerate(record["references"])
        if "synthesis" not in face and "elsewhere" not in face
    ]
    return [("target", record["target"]), *real]


def _uses(row: Row, faces: set[str]) -> Iterator[Use]:
    roles: list[tuple[str, Role, int | None]] = [(row["target"], "target", None)]
    for number, face in enumerate(row["references"] or ()):
        roles.append((face, "synthesised" if face == row["target"] else "reference", number))
    for face, role, rank in roles:
        if face in faces:
            yield Use(row["key"], row["split"], row["recipe"], row["part"], face, role, rank)


def _made_elsewhere(samples: ShardSamples, uses: list[Use]) -> set[tuple[str, int | None]]:
    """The samples and ranks of references that were made elsewhere, which the indexes do not tell."""
    keys = {use.sample for use in uses if use.role == "synthesised"}
    rows = [row for row in samples.rows if row["key"] in keys]
    return {
        (str(row["key"]), rank)
        for row, record in samples.records(rows)
        for rank, face in enumerate(record["references"])
        if "elsewhere" in face
    }


def _sample(row: Row, record: Mapping[str, Any]) -> SampleTrace:
    """A sample by its row of the index; record: its JSON, empty if it cannot be read."""
    plain = {
        name: row[name] for name in ("key", "split", "identity", "target", "references", "recipe", "part")
    }
    given = record.get("given")
    shown_given = (
        None if given is None else {"degraded_file": given["file"], "degraded_sha256": given["sha256"]}
    )
    return SampleTrace(row["key"], plain, theta_of(row["theta"]), shown_given)


def _photos(faces: Iterable[Mapping[str, Any]]) -> Iterator[PhotoTrace]:
    by_key = {face["key"]: face for face in faces}
    for key, face in sorted(by_key.items()):
        source = {name: face.get(name) for name in _SOURCE}
        yield PhotoTrace(key, source, None, {"key": key, "id": face["image"]}, None, ())


def _face(face: Mapping[str, Any], role: str | None) -> FaceTrace:
    own = {field.name for field in PAIR}
    measured = {name: value for name, value in face.items() if name not in {*_NOT_SHOWN, *own, "identity"}}
    return FaceTrace(
        id=face["face"],
        role=role,
        face=measured | {"id": face["face"]},
        label={"face": face["face"], "label": face.get("label")},
        identity={"face": face["face"], "identity": face["identity"]},
        copies=(),
    )


def _choice(record: Mapping[str, Any]) -> Choice:
    target = record["target"]["face"]
    chosen = [
        {field.name: face.get(field.name) for field in PAIR} | {"target": target, "reference": face["face"]}
        for face in record["references"]
    ]
    return Choice(target, tuple(chosen), (), (), 0, None)
