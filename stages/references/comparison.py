"""Every target of a block compared with every face of its person."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.copies.face_features import hash_distance, landmark_distance
from facerefs.stages.references.face_arrays import Block, FaceArrays
from facerefs.stages.search.similarity import inner_products


@dataclass(frozen=True)
class Compared:
    """What P x t targets and the n faces of their persons have in common: arrays of shape (P, t, n)."""

    landmark_distance: Float32s  # of the two as they are, see `facerefs.stages.copies.face_features`
    similarity: Float32s
    pose_gap: Float32s  # degrees, NaN if unknown
    hash_distance: Int64s  # bits, of the nearer of the two mirror images; UNKNOWN_BITS if a hash is unknown
    same_photo: NDArray[np.bool_]  # a face is in the same photo as itself


def compared(faces: FaceArrays, block: Block) -> Compared:
    """All targets of a block with all faces of their persons."""

    def gap(values: Float32s) -> Float32s:
        return np.asarray(np.abs(block.targets(values)[:, :, None] - block.references(values)[:, None]))

    targets = faces.features.view(lambda values: block.targets(values)[:, :, None])
    references = faces.features.view(lambda values: block.references(values)[:, None])
    image = faces.image
    return Compared(
        landmark_distance=landmark_distance(targets.landmarks, references.landmarks),
        similarity=inner_products(targets.vectors, references.vectors),
        pose_gap=np.maximum(gap(faces.yaw), gap(faces.pitch)),
        hash_distance=hash_distance(targets, references),
        same_photo=block.targets(image)[:, :, None] == block.references(image)[:, None],
    )
