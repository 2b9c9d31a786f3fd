"""The faces that may be targets and references, as arrays in which the faces of a person are neighbours."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.copies.face_features import FaceFeatures
from facerefs.stages.room import Room
from facerefs.stages.search.similarity import one_embedder

Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class FaceArrays:
    """N faces that are not rejected and have an identity, sorted by number of faces of the person, person and id.

    Arrays of length N. An unknown figure is NaN.
    """

    id: pa.ChunkedArray
    part: pa.ChunkedArray
    identity: pa.ChunkedArray
    order: Int64s  # rank of the id: 0 for the smallest
    size: Int64s  # number of faces of the person
    image: Int64s
    features: FaceFeatures
    crop_size: Float32s  # pixels
    face_px: Float32s
    yaw: Float32s  # degrees
    pitch: Float32s
    sharpness: Float32s
    niqe: Float32s
    brisque: Float32s
    embedder: str

    def __len__(self) -> int:
        return len(self.order)

    def people(self, rows: slice) -> "FaceArrays":
        """Neighbouring faces, without the texts: views."""
        nothing = pa.chunked_array([], pa.string())
        features = self.features.view(lambda values: values[rows])
        arrays: dict[str, Any] = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, id=nothing, part=nothing, identity=nothing, features=features, **arrays)


def face_arrays(faces: pa.Table, identities: pa.Table, room: Room) -> FaceArrays:
    """The arrays of all faces that are not rejected and have an identity.

    Raises ValueError if they come from several embedders, or if one lacks landmarks or embedding.
    """
    person, names = _people(faces, identities)
    rows = np.flatnonzero(person >= 0)
    order = np.empty(len(rows), np.int64)
    order[pc.sort_indices(faces["id"].take(pa.array(rows))).to_numpy()] = np.arange(len(rows))
    sizes = np.bincount(person[rows])[person[rows]] if len(rows) else rows
    side_by_side = np.lexsort((order, person[rows], sizes))
    rows = rows[side_by_side]

    def figures(name: str) -> Float32s:
        return np.asarray(faces[name].to_numpy()[rows], np.float32)

    return FaceArrays(
        id=faces["id"].take(pa.array(rows)),
        part=faces["part"].take(pa.array(rows)),
        identity=pa.chunked_array([names.take(pa.array(person[rows]))]),
        order=order[side_by_side],
        size=sizes[side_by_side],
        image=_codes(faces["image"])[0][rows],
        features=FaceFeatures.of(faces, rows, room),
        **{
            name: figures(name)
            for name in ("crop_size", "face_px", "yaw", "pitch", "sharpness", "niqe", "brisque")
        },
        embedder=one_embedder(faces["embedder"].take(pa.array(rows))) if len(rows) else "",
    )


@dataclass(frozen=True)
class Block:
    """P people with n faces each, and t of the n as targets, which are compared with all n."""

    first: int  # row of the first person's first face
    people: int  # P
    size: int  # n
    start: int  # the targets are faces start to stop of each person
    stop: int

    def references(self, values: NDArray[Value]) -> NDArray[Value]:
        """The values of the faces of the block, (P, n, ...), from the values of all N faces; a view."""
        last = self.first + self.people * self.size
        return values[self.first : last].reshape(self.people, self.size, *values.shape[1:])

    def targets(self, values: NDArray[Value]) -> NDArray[Value]:
        """The values of the targets of the block, (P, t, ...); a view."""
        return self.references(values)[:, self.start : self.stop]

    def target(self, person: Int64s, number: Int64s) -> Int64s:
        """The rows among all N faces of the targets [person, number] of the block."""
        return self.reference(person, self.start + number)

    def reference(self, person: Int64s, number: Int64s) -> Int64s:
        """The rows among all N faces of the faces [person, number] of the block."""
        return self.first + person * self.size + number


def blocks(sizes: Int64s, pairs: int) -> Iterator[Block]:
    """Blocks of about `pairs` pairs in which every face is a target once. sizes: `FaceArrays.size`, ascending."""
    for size, first, count in zip(*np.unique(sizes, return_index=True, return_counts=True), strict=True):
        together = max(1, pairs // size**2)
        targets = max(1, min(size, pairs // size))
        for person in range(0, count // size, together):
            people = min(together, count // size - person)
            for start in range(0, size, targets):
                yield Block(first + person * size, people, size, start, min(start + targets, size))


def _people(faces: pa.Table, identities: pa.Table) -> tuple[Int64s, pa.Array]:
    """For each face the number of its person, -1 if it is rejected or has none; and the names of the persons."""
    known = identities.filter(pc.and_(pc.is_null(identities["reject"]), pc.is_valid(identities["identity"])))
    numbers, names = _codes(known["identity"])
    place = pc.index_in(faces["id"], value_set=known["face"].combine_chunks())
    place = pc.if_else(pc.is_null(faces["reject"]), place, None).fill_null(-1).to_numpy()
    return np.append(numbers, -1)[place], names


def _codes(column: pa.ChunkedArray) -> tuple[Int64s, pa.Array]:
    """Equal numbers for equal values, -1 for null, and the values."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1).to_numpy(), np.int64), encoded.dictionary
