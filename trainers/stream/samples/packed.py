"""The undecoded files of a batch in one block of memory, for decoding elsewhere, for example on a GPU."""

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
    """A `prepare` for `Stream`: takes files by their names, such as "gt.jpg". Raises BadSample if one is missing."""

    names: tuple[str, ...]

    def __call__(self, draw: SampleRequest, files: Mapping[str, bytes]) -> SampleBytes:
        """The selected files of a sample."""
        return SampleBytes(draw, self.names, tuple(files[name] for name in self.names))


@dataclass(frozen=True, eq=False)
class PackedFiles:
    """The files of a batch; they are not copied when they leave a worker."""

    draws: tuple[SampleRequest, ...]
    names: tuple[str, ...]
    data: Tensor  # (N,) uint8: all files, sample after sample
    starts: tuple[int, ...]  # the offset of each file, and the end of the last one

    def file(self, sample: int, name: str) -> Tensor:
        """The bytes of one file, (n,) uint8, as torchvision's `decode_jpeg` takes them."""
        at = sample * len(self.names) + self.names.index(name)
        return self.data[self.starts[at] : self.starts[at + 1]]

    def pin_memory(self) -> "PackedFiles":
        """The files in page-locked memory."""
        return replace(self, data=self.data.pin_memory())


def pack(samples: Sequence[SampleBytes]) -> PackedFiles:
    """The files of a batch in one tensor: the `collate` for `Stream` that belongs to `TakeFiles`."""
    pieces = [np.frombuffer(piece, np.uint8) for files in samples for piece in files.data]
    starts = (0, *np.cumsum([len(piece) for piece in pieces]).tolist())
    data = empty_shared(starts[-1])
    np.concatenate(pieces, out=data.numpy())
    return PackedFiles(tuple(files.draw for files in samples), samples[0].names, data, starts)
