"""Which face of a photo is the person's, and whether the references show the same person: by embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Float32s, Float64s


@dataclass(frozen=True, eq=False)
class Match:
    """The face that is taken of a photo, and of each reference.

    likeness: (N,) of each face of the photo to the references, a mean of cosines. similarities: of the taken face to
    each reference. among: (M,) of each reference to the others, a mean of cosines; NaN if there is only one.
    likenesses: of all faces of each reference to what they were compared with.
    """

    face: int
    references: tuple[int, ...]
    likeness: Float64s
    similarities: tuple[float, ...]
    among: Float64s
    likenesses: tuple[Float64s, ...]
    by_target: bool  # whether faces of references were chosen by their likeness to the photo's


def match(faces: Float32s, references: Sequence[Float32s]) -> Match:
    """The face most like the references, and of each reference the face of the same person.

    faces: embeddings (N, D) of the photo's faces; references: (M, D) of each reference's faces. References with
    one face say who the person is: of others, the face most like those is taken, and only if there are none the one
    most like the photo's face, since that is degraded.
    """
    single = [faces_of[0] for faces_of in references if len(faces_of) == 1]
    if single:
        likenesses = tuple(_mean_cosine(faces_of, np.stack(single)) for faces_of in references)
        chosen = tuple(int(values.argmax()) for values in likenesses)
        known = np.stack([faces_of[one] for faces_of, one in zip(references, chosen, strict=True)])
        likeness = _mean_cosine(faces, known)
        face = int(likeness.argmax())
    else:
        cosines = [faces.astype(np.float64) @ faces_of.T for faces_of in references]
        likeness = np.mean([values.max(axis=1) for values in cosines], axis=0)
        face = int(likeness.argmax())
        likenesses = tuple(values[face] for values in cosines)
        chosen = tuple(int(values.argmax()) for values in likenesses)
        known = np.stack([faces_of[one] for faces_of, one in zip(references, chosen, strict=True)])
    similarities = tuple(float(value) for value in known.astype(np.float64) @ faces[face])
    return Match(face, chosen, likeness, similarities, _among(known), likenesses, not single)


def _mean_cosine(faces: Float32s, others: Float32s) -> Float64s:
    means: Float64s = (faces.astype(np.float64) @ others.T).mean(axis=1)
    return means


def _among(known: Float32s) -> Float64s:
    cosines = known.astype(np.float64) @ known.T
    count = len(known)
    if count == 1:
        return np.full(1, np.nan)
    means: Float64s = (cosines.sum(axis=1) - cosines.diagonal()) / (count - 1)
    return means
