"""Samples as PyTorch datasets: one by one for any sampler, or whole batches for the stream."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from torch.utils.data import Dataset

from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.shards.cache import ShardCache
from facerefs.trainers.stream.shards.reader import ShardReader
from facerefs.trainers.stream.shards.shards import open_shards
from facerefs.trainers.stream.workers.loading import Loader, Prepare, Skipped
from facerefs.trainers.stream.workers.skip_log import SkipLog

T = TypeVar("T")
B = TypeVar("B")


class SampleDataset(Dataset[T], Generic[T]):
    """The samples of a folder of shards, for any sampler and DataLoader.

    place, split and cache: see `open_shards`. prepare: gets a request whose position and row are the index and whose
    epoch is 0. A corrupt sample is logged and replaced by another one, always the same one.
    """

    def __init__(
        self,
        place: str | Path,
        prepare: Prepare[T],
        split: str | None = None,
        seed: int = 0,
        cache: ShardCache | None = None,
    ) -> None:
        self.shards = open_shards(place, split, cache)
        self.skip_log = SkipLog()
        self._loader = Loader(ShardReader([self.shards]), prepare, seed)

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> T:
        """The prepared sample number `index`; negative ones count from the end. Raises IndexError, StreamError."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no sample {index} among {len(self)}")
        row = index % len(self)
        sample, skipped = self._loader.load(SampleRequest(position=row, epoch=0, source=0, row=row))
        self.skip_log.add(skipped)
        return sample


class BatchDataset(Dataset[tuple[B, list[Skipped]]], Generic[T, B]):
    """A batch for each list of sample requests, with the corrupt samples that were skipped; used by stream workers."""

    def __init__(self, loader: Loader[T], collate: Callable[[Sequence[T]], B]) -> None:
        self._loader = loader
        self._collate = collate

    def __getitem__(self, draws: Sequence[SampleRequest]) -> tuple[B, list[Skipped]]:
        loaded = [self._loader.load(draw) for draw in draws]
        return self._collate([sample for sample, _ in loaded]), [
            skip for _, skipped in loaded for skip in skipped
        ]
