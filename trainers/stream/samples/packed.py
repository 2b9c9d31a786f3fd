"""The files of a batch as they lie in the shards, in one piece of memory, for who decodes elsewhere, as on a GPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from torch import Tensor

from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.workers.shared import empty_shared


class SampleBytes(NamedTuple):
    """Some files of one sample."""

    draw: SampleRequest
    names: tuple[str, ...]
    data: tuple[bytes, ...]


@dataclass(frozen=True)
class TakeFiles:
    """A `prepare` for `Stream`: the files of these names, such as "gt.jpg". Raises BadSample if one is not there."""

    names: tuple[str, ...]

    def __call__(self, draw: SampleRequest, files: Mapping[str, bytes]) -> SampleBytes:
        """The files of a sample."""
        return SampleBytes(draw, self.names, tuple(files[name] for name in self.names))


@dataclass(frozen=True, eq=False)
class PackedFiles:
    """Files of a batch: no copy is made of them on the way out of a worker."""

    draws: tuple[SampleRequest, ...]
    names: tuple[str, ...]
    data: Tensor  # (N,) uint8: all files, sample after sample
    starts: tuple[int, ...]  # where each begins, and where the last one ends

    def file(self, sample: int, name: str) -> Tensor:
        """The bytes of one file, (n,) uint8, which is what torchvision's `decode_jpeg` takes."""
        at = sample * len(self.names) + self.names.index(name)
        return self.data[self.starts[at] : self.starts[at + 1]]

    def pin_memory(self) -> "PackedFiles":
        """The same in page-locked memory."""
        return replace(self, data=self.data.pin_memory())


def pack(samples: Sequence[SampleBytes]) -> PackedFiles:
    """A `collate` for `Stream`, with `TakeFiles`."""
    pieces = [np.frombuffer(piece, np.uint8) for files in samples for piece in files.data]
    starts = (0, *np.cumsum([len(piece) for piece in pieces]).tolist())
    data = empty_shared(starts[-1])
    np.concatenate(pieces, out=data.numpy())
    return PackedFiles(tuple(files.draw for files in samples), samples[0].names, data, starts)
