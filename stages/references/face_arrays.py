"""The faces that may be targets and references, as arrays in which a person's faces lie side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.search.similarity import matrix, one_embedder

Value = TypeVar("Value", bound=np.generic)

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Portraits:
    """N faces that are not rejected and have an identity: by how many faces their person has, by person, by id.

    Arrays of length N; `landmarks` and `vectors` have rows. An unknown figure is NaN.
    """

    id: pa.ChunkedArray
    part: pa.ChunkedArray
    identity: pa.ChunkedArray
    order: Int64s  # of the ids: 0 for the smallest
    size: Int64s  # how many faces the person has
    image: Int64s
    landmarks: Float32s  # (N, 136), as a share of the crop's side
    vectors: Float32s  # (N, D), unit length
    crop_size: Float32s  # pixels
    face_px: Float32s
    yaw: Float32s  # degrees
    pitch: Float32s
    sharpness: Float32s
    niqe: Float32s
    brisque: Float32s
    phash: NDArray[np.uint64]
    phash_mirror: NDArray[np.uint64]
    phash_known: NDArray[np.bool_]
    embedder: str

    def __len__(self) -> int:
        return len(self.order)


def portraits(faces: pa.Table, identities: pa.Table) -> Portraits:
    """The faces in use.

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

    def hashes(name: str) -> NDArray[np.uint64]:
        return np.asarray(faces[name].fill_null(0).to_numpy()[rows], np.uint64)

    crop_size = figures("crop_size")
    landmarks = _gathered(faces["landmarks"], rows)
    landmarks /= crop_size[:, None]
    known = pc.and_(pc.is_valid(faces["crop_phash"]), pc.is_valid(faces["crop_phash_mirror"]))
    return Portraits(
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
    """Of P people who have n faces each some, the targets (t a person), which are compared with all n."""

    first: int  # the first person's first face
    people: int
    size: int
    start: int
    stop: int

    def references(self, values: NDArray[Value]) -> NDArray[Value]:
        """All faces' values, (P, n, ...), from those of all portraits; a view."""
        last = self.first + self.people * self.size
        return values[self.first : last].reshape(self.people, self.size, *values.shape[1:])

    def targets(self, values: NDArray[Value]) -> NDArray[Value]:
        """The targets' values, (P, t, ...); a view."""
        return self.references(values)[:, self.start : self.stop]

    def target(self, person: Int64s, number: Int64s) -> Int64s:
        """The places among all portraits of the block's targets [person, number]."""
        return self.reference(person, self.start + number)

    def reference(self, person: Int64s, number: Int64s) -> Int64s:
        """The places among all portraits of faces [person, number]."""
        return self.first + person * self.size + number


def blocks(sizes: Int64s, pairs: int) -> Iterator[Block]:
    """All faces as targets once, about `pairs` pairs at a time. sizes: `Portraits.size`, ascending."""
    for size, first, count in zip(*np.unique(sizes, return_index=True, return_counts=True), strict=True):
        together = max(1, pairs // size**2)
        targets = max(1, min(size, pairs // size))
        for person in range(0, count // size, together):
            people = min(together, count // size - person)
            for start in range(0, size, targets):
                yield Block(first + person * size, people, size, start, min(start + targets, size))


def _people(faces: pa.Table, identities: pa.Table) -> tuple[Int64s, pa.Array]:
    """For each face the number of its person, -1 if it is not in use; and the names of the persons."""
    known = identities.filter(pc.and_(pc.is_null(identities["reject"]), pc.is_valid(identities["identity"])))
    numbers, names = _codes(known["identity"])
    place = pc.index_in(faces["id"], value_set=known["face"].combine_chunks())
    place = pc.if_else(pc.is_null(faces["reject"]), place, None).fill_null(-1).to_numpy()
    return np.append(numbers, -1)[place], names


def _codes(column: pa.ChunkedArray) -> tuple[Int64s, pa.Array]:
    """Equal numbers for equal values, -1 for null, and the values."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1).to_numpy(), np.int64), encoded.dictionary


def _gathered(column: pa.ChunkedArray, rows: Int64s) -> Float32s:
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
