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


@dataclass(frozen=True)
class WccnTransform:
    """The linear map of embeddings that `fit_wccn` learns."""

    centre: Float32s  # (D,)
    axes: Float32s  # (D, D)

    def __call__(self, vectors: Float32s) -> Float32s:
        """The mapped embeddings, float32 (N, D), unit length. vectors: float32 (N, D), unit length."""
        with threadpool_limits(1, "blas"):
            mapped = (vectors - self.centre) @ self.axes
        return np.asarray(mapped / np.linalg.norm(mapped, axis=1, keepdims=True), np.float32)


def fit_wccn(vectors: Float32s, person: Int64s) -> WccnTransform | None:
    """The WCCN transform for embeddings float32 (N, D) of unit length; None if there are too few faces to learn it.

    An embedder was trained on some population. On another (rendered people, one family, one age) all faces
    share a direction, and few directions of pose and light dominate: cosines crowd together. Subtracting the
    mean and dividing by the covariance within people undoes both (Hatch, Kajarekar and Stolcke, Interspeech
    2006). The covariance is shrunk towards a multiple of the identity matrix, which weighs as much as D faces.

    person: int64 (N,), -1 for faces to leave out of the estimate. Too few: the number of faces, less one per person,
    is below a quarter of the dimensions.
    """
    dimensions = vectors.shape[1]
    people = sum_by_person(vectors, person, int(person.max(initial=-1)) + 1)
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
    return WccnTransform(centre, (axes / np.sqrt(variance)).astype(np.float32))
