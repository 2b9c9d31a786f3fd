"""The work of `select` in pieces: the references of some people's faces need nothing of other people."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s, UInt64s
from facerefs.stages.references.choice import ChosenPairs
from facerefs.stages.references.face_arrays import Block, FaceArrays
from facerefs.stages.references.pair_overrides import PairOverrideLookup
from facerefs.stages.references.reasons import Reasons

_BLOCKS_PER_PIECE = 128
FACES_PER_PIECE = 8192


@dataclass(frozen=True)
class People:
    """The faces of some people, and what is known about each face: a piece of all."""

    faces: FaceArrays
    overrides: PairOverrideLookup
    unfit: Reasons  # the reason why a face is no reference for anybody, or ALLOWED
    numbers: UInt64s  # of the ids, as of `chance.hashed`

    def piece(self, blocks: list[Block]) -> tuple["People", list[Block]]:
        """The faces of the people in neighbouring blocks, and these blocks within them. Arrays are views."""
        first, last = blocks[0].first, blocks[-1].first + blocks[-1].people * blocks[-1].size
        rows = slice(first, last)
        people = People(
            self.faces.people(rows), self.overrides.within(rows), self.unfit[rows], self.numbers[rows]
        )
        return people, [replace(block, first=block.first - first) for block in blocks]


@dataclass(frozen=True)
class FoundReferences:
    """The references of some targets, and the targets that have too few."""

    pairs: ChosenPairs
    without: Int64s  # rows
    why_few: NDArray[np.int32]  # (len(without), reasons), as of `count_reasons`

    def moved(self, first: int) -> "FoundReferences":
        """The same with rows that begin at `first`."""
        pairs = replace(self.pairs, target=self.pairs.target + first, reference=self.pairs.reference + first)
        return FoundReferences(pairs, self.without + first, self.why_few)

    @classmethod
    def concatenated(cls, parts: list["FoundReferences"]) -> "FoundReferences":
        """Those of all parts, of which there must be at least one."""
        return cls(
            ChosenPairs.concatenated([part.pairs for part in parts]),
            np.concatenate([part.without for part in parts]),
            np.concatenate([part.why_few for part in parts]),
        )


def grouped(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Neighbouring blocks in lists for a piece each: of some thousand faces, or of one block."""
    together: list[Block] = []
    for block in blocks:
        end = block.first + block.people * block.size
        is_full = len(together) >= _BLOCKS_PER_PIECE
        if together and (is_full or end - together[0].first > FACES_PER_PIECE):
            yield together
            together = []
        together.append(block)
    if together:
        yield together
