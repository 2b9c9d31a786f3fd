"""Pairs of photos, by number, whose hashes are near: arrays of one length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s
from facerefs.stages.images.hashing import MIRRORED_DETAIL
from facerefs.stages.room import IN_MEMORY, Room
from facerefs.stages.search.hamming import Hashes, hamming_pairs

_PAIRS_PER_BLOCK = 1 << 20
_MIRRORED = np.frombuffer(MIRRORED_DETAIL, np.uint64)


@dataclass(frozen=True)
class PhotoPairs:
    """Pairs of photos and how they match."""

    better: Int64s
    worse: Int64s
    distance: Int64s  # bits between the perceptual hashes
    mirrored: NDArray[np.bool_]  # the mirror image of the worse one matches the better one

    @classmethod
    def near(
        cls, hashes: Hashes, max_distance: int, max_detail_distance: int, room: Room = IN_MEMORY
    ) -> "PhotoPairs":
        """All pairs of near hashes, each in both directions, and each with itself.

        hashes: uint64 (N, 6): perceptual, that of the mirror image, and the detail hash.
        """
        phash, mirrored, detail = hashes[:, 0], hashes[:, 1], hashes[:, 2:]
        found = [
            cls(better, worse, distance, np.full(len(worse), is_mirrored))
            for queries, is_mirrored in ((phash, False), (mirrored, True))
            for worse, better, distance in [hamming_pairs(queries, phash, max_distance, room)]
        ]
        pairs = cls.joined(found)
        return pairs.take(pairs._differing_bits(detail) <= max_detail_distance)

    @classmethod
    def joined(cls, blocks: Iterable["PhotoPairs"]) -> "PhotoPairs":
        """All pairs of some blocks, in order."""
        nothing = cls(*(np.zeros(0, np.int64),) * 3, np.zeros(0, bool))
        columns = zip(*(vars(block).values() for block in (nothing, *blocks)), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def take(self, rows: NDArray[Any]) -> "PhotoPairs":
        """Some of the pairs."""
        return PhotoPairs(*(column[rows] for column in vars(self).values()))

    def between_members(self, group: Int64s) -> Iterator["PhotoPairs"]:
        """The pairs of members, the smaller number first, of these pairs of groups: in blocks, as there may be many.

        group: int64 (M,), the group of each member.
        """
        members = np.argsort(group, kind="stable")
        start = np.searchsorted(group[members], np.arange(group.max(initial=-1) + 2))
        size = np.diff(start)
        end = np.cumsum(size[self.better] * size[self.worse])
        for begin in range(0, int(end[-1]) if len(end) else 0, _PAIRS_PER_BLOCK):
            number = np.arange(begin, min(begin + _PAIRS_PER_BLOCK, end[-1]))
            pair = np.searchsorted(end, number, side="right")
            row, column = np.divmod(number - np.where(pair, end[pair - 1], 0), size[self.worse][pair])
            better = members[start[self.better][pair] + row]
            worse = members[start[self.worse][pair] + column]
            pairs = PhotoPairs(better, worse, self.distance[pair], self.mirrored[pair])
            yield pairs.take(better < worse)

    def _differing_bits(self, detail: Hashes) -> Int64s:
        """Bits between the detail hashes of each pair. detail: uint64 (N, 4)."""
        flip = np.where(self.mirrored[:, None], _MIRRORED, np.uint64(0))
        bits = np.bitwise_count(detail[self.better] ^ detail[self.worse] ^ flip)
        return np.asarray(bits.sum(axis=1), np.int64)
