"""Within-class covariance normalisation (WCCN): embeddings rescaled so that variation within people counts less.

It is learned from the labels of the set itself.

BLAS runs in one thread here: with another number of them it rounds differently, and the same set must give the same
bytes.
"""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.people import sum_by_person
from facerefs.stages.room import IN_MEMORY, Room, row_blocks, take_rows

_ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class WccnTransform:
    """The linear map of embeddings that `fit_wccn` learns."""

    centre: Float32s  # (D,)
    axes: Float32s  # (D, D)

    def __call__(self, vectors: Float32s, room: Room = IN_MEMORY) -> Float32s:
        """The mapped embeddings, float32 (N, D), unit length. vectors: float32 (N, D), unit length."""
        result = room.empty(vectors.shape, np.float32)
        with threadpool_limits(1, "blas"):
            for start in range(0, len(vectors), _ROWS_AT_ONCE):
                rows = slice(start, start + _ROWS_AT_ONCE)
                mapped = (vectors[rows] - self.centre) @ self.axes
                result[rows] = mapped / np.linalg.norm(mapped, axis=1, keepdims=True)
        return result


def fit_wccn(vectors: Float32s, person: Int64s, room: Room = IN_MEMORY) -> WccnTransform | None:
    """The WCCN transform for embeddings float32 (N, D) of unit length; None if there are too few faces to learn it.

    An embedder was trained on some population. On another (rendered people, one family, one age) all faces
    share a direction, and few directions of pose and light dominate: cosines crowd together. Subtracting the
    mean and dividing by the covariance within people undoes both (Hatch, Kajarekar and Stolcke, Interspeech
    2006). The covariance is shrunk towards a multiple of the identity matrix, which weighs as much as D faces.

    person: int64 (N,), -1 for faces to leave out of the estimate. Too few: the number of faces, less one per person,
    is below a quarter of the dimensions.
    """
    dimensions = vectors.shape[1]
    people = sum_by_person(vectors, person, int(person.max(initial=-1)) + 1, room)
    rows = np.flatnonzero(person >= 0)
    freedom = len(rows) - np.count_nonzero(people.sizes)
    if freedom < dimensions / 4:
        return None
    # Twice, and not in blocks: BLAS rounds otherwise for a part of the rows, and for an array with itself.
    left, right = (room.empty((len(rows), dimensions), np.float64) for _ in range(2))
    for block in row_blocks(left, room):
        left[block] = right[block] = vectors[rows[block]] - people.means[person[rows[block]]]
    with threadpool_limits(1, "blas"):
        scatter = left.T @ right
        typical = np.trace(scatter) / freedom / dimensions
        covariance = (scatter + dimensions * typical * np.eye(dimensions)) / (freedom + dimensions)
        variance, axes = np.linalg.eigh(covariance)
    centre = take_rows(people.means, people.sizes > 0, room).mean(axis=0)
    return WccnTransform(centre, (axes / np.sqrt(variance)).astype(np.float32))
