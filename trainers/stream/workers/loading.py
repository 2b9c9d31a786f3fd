"""Load the sample of a request; a corrupt sample is reported, and every worker replaces it in the same way."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from facerefs.schemas.splitmix import fold_in, numbers
from facerefs.trainers.stream.errors import BadSample, StreamError
from facerefs.trainers.stream.order.plan import REPLACEMENTS
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.shards.reader import ShardReader

T = TypeVar("T")
Prepare: TypeAlias = Callable[[SampleRequest, Mapping[str, bytes]], T]
"""Makes a sample from its files, by the part of their names after the key; raises BadSample if they are corrupt."""

MAX_REPLACEMENTS = 32


@dataclass(frozen=True)
class Skipped:
    """A corrupt sample that was skipped."""

    source: int
    key: str
    shard: str
    reason: str
    times: int = 1  # how often it was drawn


@dataclass(frozen=True)
class Loader(Generic[T]):
    """Reads and prepares samples."""

    reader: ShardReader
    prepare: Prepare[T]
    seed: int

    def load(self, draw: SampleRequest) -> tuple[T, list[Skipped]]:
        """The sample of a request, or its first good replacement, and the corrupt samples that were skipped.

        Replacements are other samples of the same source, a pure function of (seed, position, attempt). Raises
        StreamError if the sample and its 32 replacements are all corrupt.
        """
        skipped: list[Skipped] = []
        for row in chain((draw.row,), self._others(draw)):
            try:
                files = self.reader.files(draw.source, row)
                return self.prepare(replace(draw, row=row), files), skipped
            except BadSample as error:
                skipped.append(self._report(draw.source, row, error))
        last = skipped[-1]
        raise StreamError(
            f"{len(skipped)} samples in a row are corrupt or not as the settings want them, the last being "
            f"{last.key} of {last.shard}: {last.reason}; see the settings, or what `facerefs verify` says of the set"
        )

    def _others(self, draw: SampleRequest) -> Iterator[int]:
        key = fold_in(self.seed, REPLACEMENTS, draw.position)
        rows = np.uint64(len(self.reader.sets[draw.source]))
        for attempt in range(MAX_REPLACEMENTS):
            yield int(numbers(key, np.array([attempt], np.uint64))[0] % rows)

    def _report(self, source: int, row: int, error: BadSample) -> Skipped:
        key = self.reader.sets[source].key(row)
        return Skipped(source, key, self.reader.shard_name(source, row), str(error))
