"""How alike two faces are: cosine, crop hashes and landmarks, as `compare`, `select` and `calibrate` measure them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.copies.copy_rule import UNKNOWN_BITS
from facerefs.stages.faces.landmarks import mirror_landmarks
from facerefs.stages.room import IN_MEMORY, Room, row_blocks
from facerefs.stages.search.hamming import Hashes
from facerefs.stages.search.similarity import inner_products, rows_of_matrix

FACE_FEATURES = ("landmarks", "crop_size", "embedding", "crop_phash", "crop_phash_mirror")
"""The columns of `faces` that are needed."""

_POINTS = 68
_PAIRS_PER_BLOCK = 16_384

Arrays = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class PairSimilarity:
    """How alike the faces of pairs are: arrays of one length."""

    similarity: Float32s  # cosine
    hash_distance: Int64s  # bits, see `hash_distance`
    landmark_distance: Float32s  # the nearer way round, see `FaceFeatures.landmark_distance`
    mirrored: NDArray[np.bool_]  # the hashes are nearer if one of the two is mirrored

    def take(self, rows: NDArray[Any]) -> "PairSimilarity":
        """Some of the pairs."""
        return PairSimilarity(*(column[rows] for column in vars(self).values()))

    @property
    def evidence(self) -> tuple[Float32s, Int64s, Float32s]:
        """What a `CopyRule` judges by, in its order."""
        return self.similarity, self.hash_distance, self.landmark_distance


@dataclass(frozen=True)
class FaceFeatures:
    """What is compared of N faces: arrays of length N."""

    landmarks: Float32s  # (N, 68, 2), as a share of the crop's side
    last: Float32s  # x of the centre of a row's last pixel, in the same unit
    vectors: Float32s  # (N, D), unit length
    phash: Hashes
    phash_mirror: Hashes
    hashed: NDArray[np.bool_]

    @classmethod
    def of(cls, faces: pa.Table, rows: Int64s | None = None, room: Room = IN_MEMORY) -> "FaceFeatures":
        """The features of all rows of `faces`, or of these, from the columns FACE_FEATURES.

        Raises ValueError if a face lacks landmarks or embedding.
        """
        rows = np.arange(len(faces)) if rows is None else rows
        side = np.asarray(faces["crop_size"].to_numpy()[rows], np.float32)
        landmarks = rows_of_matrix(faces["landmarks"], rows, room).reshape(-1, _POINTS, 2)
        for block in row_blocks(landmarks, room):
            landmarks[block] /= side[block, None, None]
        phash, phash_mirror = (
            np.asarray(faces[name].fill_null(0).to_numpy()[rows], np.uint64)
            for name in ("crop_phash", "crop_phash_mirror")
        )
        hashed = pc.and_(pc.is_valid(faces["crop_phash"]), pc.is_valid(faces["crop_phash_mirror"]))
        return cls(
            landmarks=landmarks,
            last=1 - np.float32(1) / side,
            vectors=rows_of_matrix(faces["embedding"], rows, room),
            phash=phash,
            phash_mirror=phash_mirror,
            hashed=hashed.to_numpy()[rows],
        )

    def view(self, pick: Arrays) -> "FaceFeatures":
        """What `pick` makes of each of the arrays: some of the faces, or axes to broadcast over."""
        return FaceFeatures(*(pick(column) for column in vars(self).values()))

    def pairs(self, a: Int64s, b: Int64s) -> PairSimilarity:
        """How alike faces a and b are, pair by pair; the order of the two changes nothing."""
        a, b = np.minimum(a, b), np.maximum(a, b)
        blocks = [
            self._pairs(a[start : start + _PAIRS_PER_BLOCK], b[start : start + _PAIRS_PER_BLOCK])
            for start in range(0, max(1, len(a)), _PAIRS_PER_BLOCK)
        ]
        columns = zip(*(vars(block).values() for block in blocks), strict=True)
        return PairSimilarity(*(np.concatenate(column) for column in columns))

    def _pairs(self, a: Int64s, b: Int64s) -> PairSimilarity:
        one, other = self.view(lambda values: values[a]), self.view(lambda values: values[b])
        bits, mirrored_bits = _hash_distances(one, other)
        return PairSimilarity(
            similarity=inner_products(one.vectors, other.vectors),
            hash_distance=np.minimum(bits, mirrored_bits),
            landmark_distance=self.landmark_distance(a, b),
            mirrored=mirrored_bits < bits,
        )

    def landmark_distance(self, a: Int64s, b: Int64s) -> Float32s:
        """`landmark_distance` of faces a and b as they are, or with one of the two mirrored if that is less."""
        a, b = np.minimum(a, b), np.maximum(a, b)
        points, other = self.landmarks[a], self.landmarks[b]
        return np.minimum(
            landmark_distance(points, other), landmark_distance(mirror_landmarks(points, self.last[a]), other)
        )


def landmark_distance(points: Float32s, other: Float32s) -> Float32s:
    """The mean over 68 points of |dx| + |dy|, as a share of the crop's side; (..., 68, 2) that broadcast -> (...).

    Every pair is summed in an order of its own, so that its distance does not depend on the others.
    """
    moved = np.abs(points - other)
    return np.asarray(moved.reshape(*moved.shape[:-2], 2 * _POINTS).sum(axis=-1) / np.float32(_POINTS))


def hash_distance(one: FaceFeatures, other: FaceFeatures) -> Int64s:
    """Bits between the hashes of the crops, of the nearer of the two mirror images; UNKNOWN_BITS if one is unknown.

    The features of the two broadcast.
    """
    return np.minimum(*_hash_distances(one, other))


def _hash_distances(one: FaceFeatures, other: FaceFeatures) -> tuple[Int64s, Int64s]:
    """Bits between the crops as they are, and with one of the two mirrored."""
    upright = np.bitwise_count(one.phash ^ other.phash)
    flipped = np.minimum(
        np.bitwise_count(one.phash_mirror ^ other.phash), np.bitwise_count(one.phash ^ other.phash_mirror)
    )
    known = one.hashed & other.hashed
    as_they_are, mirrored_one = (
        np.where(known, bits, UNKNOWN_BITS).astype(np.int64) for bits in (upright, flipped)
    )
    return as_they_are, mirrored_one
