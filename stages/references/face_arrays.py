"""The faces that may be targets and references, as arrays in which the faces of a person are neighbours."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.stages.search.similarity import Floats, Ints, matrix, one_embedder

Value = TypeVar("Value", bound=np.generic)

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class FaceArrays:
    """N faces that are not rejected and have an identity, sorted by number of faces of the person, person and id.

    Arrays of length N; `landmarks` and `vectors` have rows. An unknown figure is NaN.
    """

    id: pa.ChunkedArray
    part: pa.ChunkedArray
    identity: pa.ChunkedArray
    order: Ints  # rank of the id: 0 for the smallest
    size: Ints  # number of faces of the person
    image: Ints
    landmarks: Floats  # (N, 136), as a share of the crop's side
    vectors: Floats  # (N, D), unit length
    crop_size: Floats  # pixels
    face_px: Floats
    yaw: Floats  # degrees
    pitch: Floats
    sharpness: Floats
    niqe: Floats
    brisque: Floats
    phash: NDArray[np.uint64]
    phash_mirror: NDArray[np.uint64]
    phash_known: NDArray[np.bool_]
    embedder: str

    def __len__(self) -> int:
        return len(self.order)


def face_arrays(faces: pa.Table, identities: pa.Table) -> FaceArrays:
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

    def figures(name: str) -> Floats:
        return np.asarray(faces[name].to_numpy()[rows], np.float32)

    def hashes(name: str) -> NDArray[np.uint64]:
        return np.asarray(faces[name].fill_null(0).to_numpy()[rows], np.uint64)

    crop_size = figures("crop_size")
    landmarks = _gathered(faces["landmarks"], rows)
    landmarks /= crop_size[:, None]
    known = pc.and_(pc.is_valid(faces["crop_phash"]), pc.is_valid(faces["crop_phash_mirror"]))
    return FaceArrays(
        id=faces["id"].take(pa.array(rows)),
        part=faces["part"].take(pa.array(rows)),
        identity=pa.chunked_array([names.take(pa.array(person[rows]))]),
        order=order[side_by_side],
        size=sizes[side_by_side],
        image=_codes(faces["image"])[0][rows],
        landmarks=landmarks,
        vectors=_gathered(faces["embedding"], rows),
        crop_size=crop_size,
        **{name: figures(name) for name in ("face_px", "yaw", "pitch", "sharpness", "niqe", "brisque")},
        phash=hashes("crop_phash"),
        phash_mirror=hashes("crop_phash_mirror"),
        phash_known=known.to_numpy()[rows],
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

    def target(self, person: Ints, number: Ints) -> Ints:
        """The rows among all N faces of the targets [person, number] of the block."""
        return self.reference(person, self.start + number)

    def reference(self, person: Ints, number: Ints) -> Ints:
        """The rows among all N faces of the faces [person, number] of the block."""
        return self.first + person * self.size + number


def blocks(sizes: Ints, pairs: int) -> Iterator[Block]:
    """Blocks of about `pairs` pairs in which every face is a target once. sizes: `FaceArrays.size`, ascending."""
    for size, first, count in zip(*np.unique(sizes, return_index=True, return_counts=True), strict=True):
        together = max(1, pairs // size**2)
        targets = max(1, min(size, pairs // size))
        for person in range(0, count // size, together):
            people = min(together, count // size - person)
            for start in range(0, size, targets):
                yield Block(first + person * size, people, size, start, min(start + targets, size))


def _people(faces: pa.Table, identities: pa.Table) -> tuple[Ints, pa.Array]:
    """For each face the number of its person, -1 if it is rejected or has none; and the names of the persons."""
    known = identities.filter(pc.and_(pc.is_null(identities["reject"]), pc.is_valid(identities["identity"])))
    numbers, names = _codes(known["identity"])
    place = pc.index_in(faces["id"], value_set=known["face"].combine_chunks())
    place = pc.if_else(pc.is_null(faces["reject"]), place, None).fill_null(-1).to_numpy()
    return np.append(numbers, -1)[place], names


def _codes(column: pa.ChunkedArray) -> tuple[Ints, pa.Array]:
    """Equal numbers for equal values, -1 for null, and the values."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1).to_numpy(), np.int64), encoded.dictionary


def _gathered(column: pa.ChunkedArray, rows: Ints) -> Floats:
    """`matrix` of some rows of a column, in their order, without another copy of the whole."""
    place = np.full(len(column), -1)
    place[rows] = np.arange(len(rows))
    gathered = np.zeros((len(rows), 0), np.float32)
    for start in range(0, len(column), _ROWS_AT_ONCE):
        to = place[start : start + _ROWS_AT_ONCE]
        used = to >= 0
        if not used.any():
            continue
        piece = column.slice(start, _ROWS_AT_ONCE)
        values = matrix(piece if used.all() else piece.filter(pa.array(used)))
        if not gathered.shape[1]:
            gathered = np.empty((len(rows), values.shape[1]), np.float32)
        if values.shape[1] != gathered.shape[1]:
            raise ValueError(f"vectors differ in length: {[gathered.shape[1], values.shape[1]]}")
        gathered[to[used]] = values
    return gathered
