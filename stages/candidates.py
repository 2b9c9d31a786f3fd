"""Every face compared with every other face of its person, in blocks that fit a cache."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.similarity import Floats, Ints

_BLOCK_PAIRS = 16_384


@dataclass(frozen=True)
class Portraits:
    """N faces in the order of their ids, as arrays of length N; `landmarks` and `vectors` have rows."""

    identity: Ints
    image: Ints
    landmarks: Floats  # (N, 136), as a share of the crop's side
    vectors: Floats  # (N, D), unit length
    yaw: Floats  # degrees, NaN if unknown
    pitch: Floats
    phash: NDArray[np.uint64]
    phash_mirror: NDArray[np.uint64]
    phash_known: NDArray[np.bool_]


@dataclass(frozen=True)
class Candidates:
    """T faces, each with all n faces of its person (itself among them): arrays of shape (T, n)."""

    target: Ints  # (T, 1)
    reference: Ints
    landmark_distance: Floats  # mean over 68 points of |dx| + |dy|, as a share of the crop's side
    similarity: Floats
    pose_gap: Floats  # degrees, NaN if unknown
    hash_distance: Ints  # bits, of the nearer of the two mirror images; 0 if a hash is unknown
    same_photo: NDArray[np.bool_]  # a face is in the same photo as itself


def candidates(portraits: Portraits) -> Iterator[Candidates]:
    """All faces with all faces of their people; people with equally many faces are compared at once."""
    order = np.argsort(portraits.identity, kind="stable")
    starts = np.flatnonzero(np.diff(portraits.identity[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    for size in np.unique(sizes):
        people = order[starts[sizes == size][:, None] + np.arange(size)]
        together = max(1, _BLOCK_PAIRS // size**2)
        targets = max(1, min(size, _BLOCK_PAIRS // size))
        for first in range(0, len(people), together):
            rows = people[first : first + together]
            for start in range(0, size, targets):
                yield _compare(portraits, rows[:, start : start + targets], rows)


def _compare(portraits: Portraits, target: Ints, reference: Ints) -> Candidates:
    """target: int64 (P, t) and reference: int64 (P, n), rows of P people."""
    shape = (target.size, reference.shape[1])
    left, right = target[:, :, None], reference[:, None, :]

    def gap(values: Floats) -> Floats:
        return np.asarray(np.abs(values[left] - values[right]), np.float32)

    moved = portraits.landmarks[target][:, :, None] - portraits.landmarks[reference][:, None]
    np.abs(moved, out=moved)
    similarity = portraits.vectors[target] @ portraits.vectors[reference].transpose(0, 2, 1)
    return Candidates(
        target=target.reshape(-1, 1),
        reference=np.broadcast_to(right, (*target.shape, shape[1])).reshape(shape),
        landmark_distance=(moved.sum(axis=3) / (moved.shape[3] // 2)).reshape(shape),
        similarity=similarity.reshape(shape),
        pose_gap=np.maximum(gap(portraits.yaw), gap(portraits.pitch)).reshape(shape),
        hash_distance=_hash_distance(portraits, left, right).reshape(shape),
        same_photo=(portraits.image[left] == portraits.image[right]).reshape(shape),
    )


def _hash_distance(portraits: Portraits, left: Ints, right: Ints) -> Ints:
    plain, mirror = portraits.phash, portraits.phash_mirror
    bits = np.bitwise_count(plain[left] ^ plain[right])
    bits = np.minimum(bits, np.bitwise_count(mirror[left] ^ plain[right]))
    bits = np.minimum(bits, np.bitwise_count(plain[left] ^ mirror[right]))
    known = portraits.phash_known[left] & portraits.phash_known[right]
    return np.where(known, bits, 0).astype(np.int64)
