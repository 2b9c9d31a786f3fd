"""The training stream: endless batches in an order that is a pure function of the seed, exactly resumable."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypedDict, TypeVar

from facerefs.schemas.splitmix import fold_in
from facerefs.trainers.stream.dataset import BatchDataset
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.order.order import BalancedOrder, Order, ShuffledOrder
from facerefs.trainers.stream.order.plan import ORDERS, StreamPlan
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.shards.cache import ShardCache
from facerefs.trainers.stream.shards.folders import LocalFolder
from facerefs.trainers.stream.shards.reader import ShardReader
from facerefs.trainers.stream.shards.shards import ShardSet, open_shards
from facerefs.trainers.stream.workers.loading import Loader, Prepare, Skipped
from facerefs.trainers.stream.workers.skip_log import SkipLog
from facerefs.trainers.stream.workers.workers import StreamWorkers

T = TypeVar("T")
B = TypeVar("B")
Sampling: TypeAlias = Literal["sample", "identity"]
StartMethod: TypeAlias = Literal["forkserver", "spawn", "fork"]


@dataclass(frozen=True)
class Source:
    """A folder of shards (a path or an address) and its weight when several sources are mixed.

    split: see `open_shards`; None takes all.
    """

    place: str | Path
    split: str | None = "train"
    weight: float = 1.0


class StreamState(TypedDict):
    """The position of a stream. It does not depend on the numbers of workers and ranks, nor on the batch size."""

    samples: int  # returned so far, over all ranks together
    manifest: str  # SHA-256 of what determines the order: shards, splits, weights, sampling and seed


class Stream(Iterator[B], Generic[T, B]):
    """An endless iterator over batches.

    sources: mixed by weight; an epoch is as long as all of them together, with each one's share exact to the sample.
    batch_size: samples over all ranks together, a multiple of `world_size`; rank r gets the r-th contiguous part of
        each batch.
    prepare: turns the files of a sample into a sample, in a worker. collate: turns samples into a batch, in a worker;
        preferably of tensors, which are passed in shared memory.
    sampling: `sample`: each once in an epoch; `identity`: each person equally often.
    workers: processes; 0 does the work in this one. prefetch: number of batches that each worker prepares ahead.
    timeout_s: if no batch comes within this time, plus the time that the cache may need, the stream ends with
        StreamError.
    start_method: of workers. `forkserver` and `spawn` need `prepare` and `collate` that can be pickled and a script
        with `if __name__ == "__main__":`; `fork` does not, starts faster, and may hang if this process has threads.
    cache: where remote shards are kept.

    Raises StreamError for invalid arguments. Workers start with the first `iter` or `next`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        batch_size: int,
        prepare: Prepare[T],
        collate: Callable[[Sequence[T]], B],
        seed: int = 0,
        sampling: Sampling = "sample",
        rank: int = 0,
        world_size: int = 1,
        workers: int = 2,
        prefetch: int = 2,
        timeout_s: float = 300.0,
        start_method: StartMethod = "forkserver",
        cache: ShardCache | None = None,
    ) -> None:
        _check(sources, batch_size, rank, world_size, workers, prefetch)
        self.batch_size = batch_size
        self.sets = [open_shards(source.place, source.split, cache) for source in sources]
        self.batches_out = 0
        self.waited_s = 0.0
        self._weights = [float(source.weight) for source in sources]
        self._sampling = sampling
        self._seed = seed
        self._share = (rank, world_size)
        self._workers = StreamWorkers(workers, prefetch, start_method, timeout_s + _fetch_s(self.sets, cache))
        sizes = [len(shards) for shards in self.sets]
        self._plan = StreamPlan(_orders(self.sets, sampling, seed), sizes, self._weights, seed)
        self._dataset = BatchDataset(Loader(ShardReader(self.sets), prepare, seed), collate)
        self._log = SkipLog()
        self._samples = 0
        self._batches: Iterator[tuple[B, list[Skipped]]] | None = None

    def __iter__(self) -> "Stream[T, B]":
        """This stream, with its workers started; after an interrupted loop it continues where that stopped."""
        if self._batches is None:
            self._batches = self._workers.batches(self._dataset, self._requests(self._samples))
        return self

    def __next__(self) -> B:
        asked = time.perf_counter()
        self.__iter__()
        assert self._batches is not None  # noqa: S101
        try:
            batch, skipped = next(self._batches)
        except BaseException:
            self.close()
            raise
        self._log.add(skipped)
        self._samples += self.batch_size
        self.batches_out += 1
        self.waited_s += time.perf_counter() - asked
        return batch

    def batches(self, number: int) -> "Batches[B]":
        """The next `number` batches."""
        return Batches(self, number)

    @property
    def epoch_length(self) -> int:
        """Samples of one epoch, over all ranks."""
        return self._plan.epoch_length

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The corrupt samples that this rank has skipped so far."""
        return self._log.skipped

    @property
    def manifest(self) -> str:
        """SHA-256 of what determines the order: shards, splits, weights, sampling and seed."""
        digests = [shards.digest for shards in self.sets]
        facts = json.dumps([digests, self._weights, self._sampling, self._seed])
        return hashlib.sha256(facts.encode()).hexdigest()

    def state_dict(self) -> StreamState:
        """The position of the stream: counts the samples that were returned, not those that were prefetched."""
        return {"samples": self._samples, "manifest": self.manifest}

    def load_state_dict(self, state: StreamState) -> None:
        """Continue from a state. Raises StreamError if it is of other shards, splits, weights, sampling or seed."""
        if not isinstance(state, Mapping) or not {"samples", "manifest"} <= set(state):
            raise StreamError(f"a stream's state has samples and manifest, and is not {ascii(state)[:80]}")
        samples = state["samples"]
        if type(samples) is not int or not 0 <= samples < 2**53:
            raise StreamError(f"a stream's state has a number of samples, not {ascii(samples)[:80]}")
        if state["manifest"] != self.manifest:
            raise StreamError(
                f"the state is of another stream ({state['manifest']!r}, not {self.manifest!r}): "
                "go on with the same shards, splits, weights, sampling and seed, or start anew"
            )
        self.close()
        self._samples = samples

    def close(self) -> None:
        """End the workers. Batches that are ready but were not returned are made again if the stream is used again."""
        self._batches = None

    def _requests(self, first: int) -> Iterator[list[SampleRequest]]:
        """This rank's sample requests for each batch, from a position on."""
        rank, world_size = self._share
        share = self.batch_size // world_size
        for start in count(first + rank * share, self.batch_size):
            yield self._plan.draws(start, start + share)


class Batches(Iterator[B]):
    """An iterator over a limited number of batches of a stream; its state is that of the stream."""

    def __init__(self, stream: "Stream[Any, B]", number: int) -> None:
        self._stream = stream
        self._left = number

    def __next__(self) -> B:
        if self._left <= 0:
            raise StopIteration
        batch = next(self._stream)
        self._left -= 1
        return batch

    def state_dict(self) -> StreamState:
        """The position of the stream."""
        return self._stream.state_dict()


def _check(
    sources: Sequence[Source], batch_size: int, rank: int, world_size: int, workers: int, prefetch: int
) -> None:
    if not sources:
        raise StreamError("a stream needs a source: give a folder of shards")
    if strange := [source for source in sources if not isinstance(source, Source)]:
        raise StreamError(
            f"sources is a list such as [Source('set/samples')], and holds {ascii(strange[0])[:80]}"
        )
    if world_size < 1 or not 0 <= rank < world_size:
        raise StreamError(f"there is no rank {rank} among {world_size}: ranks are 0 to world_size - 1")
    if batch_size < 1 or batch_size % world_size:
        raise StreamError(
            f"a batch of {batch_size} cannot be shared equally among {world_size} ranks: "
            f"choose a multiple of {world_size}"
        )
    if workers < 0 or prefetch < 1:
        raise StreamError(f"workers is 0 or more and prefetch 1 or more, not {workers} and {prefetch}")


def _orders(sets: Sequence[ShardSet], sampling: Sampling, seed: int) -> list[Order]:
    orders: list[Order] = []
    for number, shards in enumerate(sets):
        key = fold_in(seed, ORDERS, number)
        if sampling == "sample":
            orders.append(ShuffledOrder(len(shards), key))
        elif sampling != "identity":
            raise StreamError(f"there is no sampling {sampling!r}: choose 'sample' or 'identity'")
        elif shards.columns.identities is None:
            raise StreamError(
                f"{shards.folder.shown} does not say who its samples show: choose sampling 'sample'"
            )
        else:
            orders.append(BalancedOrder(shards.columns.identities, key))
    return orders


def _fetch_s(sets: Sequence[ShardSet], cache: ShardCache | None) -> float:
    """The time that a worker may need to fetch a shard; 0 if all sources are local."""
    local = all(isinstance(shards.folder, LocalFolder) for shards in sets)
    return 0.0 if local else (cache or ShardCache()).timeout_s
