"""Embeddings rescaled so that what varies within people counts less, learned from the set's own labels.

BLAS runs in one thread here: with another number of them it rounds differently, and the same set must give the same
bytes.
"""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.people import gather


@dataclass(frozen=True)
class Whitening:
    """A linear map of embeddings."""

    centre: Float32s  # (D,)
    axes: Float32s  # (D, D)

    def __call__(self, vectors: Float32s) -> Float32s:
        """float32 (N, D) of unit length in, the same out."""
        with threadpool_limits(1, "blas"):
            white = (vectors - self.centre) @ self.axes
        return np.asarray(white / np.linalg.norm(white, axis=1, keepdims=True), np.float32)


def whitening(vectors: Float32s, person: Int64s) -> Whitening | None:
    """Within-class covariance normalisation, learned from float32 (N, D) of unit length.

    An embedder was trained on some population. On another (rendered people, one family, one age) all faces
    share a direction, and few directions of pose and light dominate: cosines crowd together. Subtracting the
    mean and dividing by the covariance within people undoes both (Hatch, Kajarekar and Stolcke, Interspeech
    2006). The covariance is shrunk towards a multiple of the identity, which weighs as much as D faces.

    person: int64 (N,), -1 for faces to leave out of the estimate. Returns None where it would rest on too
    little: fewer faces, less one per person, than a quarter of the dimensions.
    """
    dimensions = vectors.shape[1]
    people = gather(vectors, person, int(person.max(initial=-1)) + 1)
    rows = np.flatnonzero(person >= 0)
    freedom = len(rows) - np.count_nonzero(people.sizes)
    if freedom < dimensions / 4:
        return None
    residuals = vectors[rows] - people.means[person[rows]]
    with threadpool_limits(1, "blas"):
        scatter = residuals.T.astype(np.float64) @ residuals
        typical = np.trace(scatter) / freedom / dimensions
        covariance = (scatter + dimensions * typical * np.eye(dimensions)) / (freedom + dimensions)
        variance, axes = np.linalg.eigh(covariance)
    centre = people.means[people.sizes > 0].mean(axis=0)
    return Whitening(centre, (axes / np.sqrt(variance)).astype(np.float32))
