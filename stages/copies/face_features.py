"""What is compared of two faces to tell whether they show one shot."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.copies.copy_rule import UNKNOWN_BITS
from facerefs.stages.faces.landmarks import mirror_landmarks
from facerefs.stages.search.hamming import Hashes
from facerefs.stages.search.similarity import inner, matrix

LOOKS = ("landmarks", "crop_size", "embedding", "crop_phash", "crop_phash_mirror")
"""The columns of `faces` that are needed."""

_PAIRS_PER_BLOCK = 65_536


@dataclass(frozen=True)
class Alike:
    """How alike the faces of pairs are: arrays of one length."""

    similarity: Float32s  # cosine
    hash_distance: (
        Int64s  # bits between the hashes of the crops, the nearer way round; UNKNOWN_BITS if one is unknown
    )
    landmark_distance: (
        Float32s  # mean over 68 points of |dx| + |dy|, as a share of the crop's side, that way round
    )
    mirrored: NDArray[np.bool_]  # the hashes are nearer if one of the two is mirrored

    def take(self, rows: NDArray[Any]) -> "Alike":
        """Some of the pairs."""
        return Alike(*(column[rows] for column in vars(self).values()))

    @property
    def evidence(self) -> tuple[Float32s, Int64s, Float32s]:
        """What a `CopyRule` judges by, in its order."""
        return self.similarity, self.hash_distance, self.landmark_distance


@dataclass(frozen=True)
class Looks:
    """N faces, as arrays of length N."""

    landmarks: Float32s  # (N, 68, 2), as a share of the crop's side
    last: Float32s  # x of the centre of a row's last pixel, in the same unit
    vectors: Float32s  # (N, D), unit length
    phash: Hashes
    phash_mirror: Hashes
    hashed: NDArray[np.bool_]

    @classmethod
    def of(cls, faces: pa.Table) -> "Looks":
        """Of the columns `LOOKS`. Raises ValueError if a face lacks landmarks or embedding."""
        side = faces["crop_size"].to_numpy().astype(np.float32)
        phash, phash_mirror = (
            np.asarray(faces[name].fill_null(0).to_numpy(), np.uint64)
            for name in ("crop_phash", "crop_phash_mirror")
        )
        return cls(
            landmarks=matrix(faces["landmarks"]).reshape(-1, 68, 2) / side[:, None, None],
            last=1 - 1 / side,
            vectors=matrix(faces["embedding"]),
            phash=phash,
            phash_mirror=phash_mirror,
            hashed=pc.and_(
                pc.is_valid(faces["crop_phash"]), pc.is_valid(faces["crop_phash_mirror"])
            ).to_numpy(),
        )

    def alike(self, a: Int64s, b: Int64s) -> Alike:
        """How alike faces a and b are, pair by pair; the order of the two changes nothing."""
        a, b = np.minimum(a, b), np.maximum(a, b)
        upright = np.bitwise_count(self.phash[a] ^ self.phash[b])
        flipped = np.minimum(
            np.bitwise_count(self.phash_mirror[a] ^ self.phash[b]),
            np.bitwise_count(self.phash[a] ^ self.phash_mirror[b]),
        )
        known = self.hashed[a] & self.hashed[b]
        return Alike(
            similarity=inner(self.vectors, self.vectors, a, b),
            hash_distance=np.where(known, np.minimum(upright, flipped), UNKNOWN_BITS).astype(np.int64),
            landmark_distance=self._landmark_distance(a, b),
            mirrored=(flipped < upright) & known,
        )

    def _landmark_distance(self, a: Int64s, b: Int64s) -> Float32s:
        """Of the two as they are, or with a mirrored if that is less, block by block."""
        distance = np.empty(len(a), np.float32)
        for start in range(0, len(a), _PAIRS_PER_BLOCK):
            block = slice(start, start + _PAIRS_PER_BLOCK)
            points, other = self.landmarks[a[block]], self.landmarks[b[block]]
            ways = points, mirror_landmarks(points, self.last[a[block]])
            distance[block] = np.minimum(*(np.abs(way - other).sum(axis=2).mean(axis=1) for way in ways))
        return distance
