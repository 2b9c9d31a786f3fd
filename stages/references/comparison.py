"""Every target of a block compared with every face of its person."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.copies.copy_rule import UNKNOWN_BITS
from facerefs.stages.faces.landmarks import mirror_landmarks
from facerefs.stages.references.face_arrays import Block, Portraits

POINTS = 68


@dataclass(frozen=True)
class Compared:
    """What P x t targets and the n faces of their persons have in common: arrays of shape (P, t, n).

    Every figure of a pair is summed in an order of its own, so that it does not depend on the block.
    """

    landmark_distance: Float32s  # mean over 68 points of |dx| + |dy|, as a share of the crop's side
    similarity: Float32s
    pose_gap: Float32s  # degrees, NaN if unknown
    hash_distance: Int64s  # bits, of the nearer of the two mirror images; UNKNOWN_BITS if a hash is unknown
    same_photo: NDArray[np.bool_]  # a face is in the same photo as itself


def compared(portraits: Portraits, block: Block) -> Compared:
    """All targets of a block with all faces of their persons."""

    def gap(values: Float32s) -> Float32s:
        return np.asarray(np.abs(block.targets(values)[:, :, None] - block.references(values)[:, None]))

    moved = gap(portraits.landmarks)
    vectors = portraits.vectors
    image = portraits.image
    return Compared(
        landmark_distance=moved.sum(axis=3) / np.float32(POINTS),
        similarity=inner(block.targets(vectors), block.references(vectors)),
        pose_gap=np.maximum(gap(portraits.yaw), gap(portraits.pitch)),
        hash_distance=_hash_distance(portraits, block),
        same_photo=block.targets(image)[:, :, None] == block.references(image)[:, None],
    )


def inner(left: Float32s, right: Float32s) -> Float32s:
    """Inner products (P, t, n) of (P, t, D) and (P, n, D).

    Not by a matrix product, of which BLAS may round the same pair another way in a block of another shape.
    """
    return np.asarray(np.einsum("ptd,pnd->ptn", left, right))


def nearer_way(portraits: Portraits, a: Int64s, b: Int64s, landmark_distance: Float32s) -> Float32s:
    """The landmark distances of pairs of places (M,), or those with one of the two mirrored, if that is less."""
    a, b = np.minimum(a, b), np.maximum(a, b)
    last = 1 - np.float32(1) / portraits.crop_size[a]
    points = mirror_landmarks(portraits.landmarks[a].reshape(-1, POINTS, 2), last)
    moved = np.abs(points.reshape(len(a), 2 * POINTS) - portraits.landmarks[b])
    return np.asarray(np.minimum(landmark_distance, moved.sum(axis=1) / np.float32(POINTS)))


def _hash_distance(portraits: Portraits, block: Block) -> Int64s:
    def pair(values: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        return block.targets(values)[:, :, None], block.references(values)[:, None]

    (plain, other), (mirror, other_mirror) = pair(portraits.phash), pair(portraits.phash_mirror)
    bits = np.bitwise_count(plain ^ other)
    bits = np.minimum(bits, np.bitwise_count(mirror ^ other))
    bits = np.minimum(bits, np.bitwise_count(plain ^ other_mirror))
    known = portraits.phash_known
    both = block.targets(known)[:, :, None] & block.references(known)[:, None]
    return np.where(both, bits, UNKNOWN_BITS).astype(np.int64)
