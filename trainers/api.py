"""What `import facerefs` offers for training code of one's own: batches of a training set, ready on a device."""

from collections.abc import Sequence
from pathlib import Path

import torch

from facerefs.trainers.stream.batches.device import DeviceBatches, on_device
from facerefs.trainers.stream.faces import face_stream
from facerefs.trainers.stream.samples.prepare import FacePreparation
from facerefs.trainers.stream.stream import Sampling, Source, StreamState
from facerefs.trainers.training_set import shards_of

_AS_STORED = FacePreparation()


def stream(
    data: str | Path | Sequence[Source],
    batch_size: int,
    preparation: FacePreparation = _AS_STORED,
    device: torch.device | str = "cpu",
    *,
    split: str | None = "train",
    sampling: Sampling = "sample",
    workers: int = 2,
    rank: int = 0,
    world_size: int = 1,
    state: StreamState | None = None,
) -> DeviceBatches:
    """Endless batches of a training set on a device, in an order that the seed of the preparation decides.

    data: the folder of a build or of shards, or an address; or several `Source`s, mixed by their weights.
    preparation: how many references, which degradation (`stored`, or drawn anew), flips, crops, the seed.
    split: of a single set. sampling: `sample`, or `identity`: each person equally often.
    workers: processes; with some, a script needs `if __name__ == "__main__":`. rank, world_size: of processes that
    train together; `batch_size` is that of all of them.
    state: what `state_dict()` of such batches gave, to go on with the batch after it.
    Raises StreamError for shards that are not there or do not fit, ValueError for settings that cannot be.
    """
    sources = [Source(shards_of(data), split)] if isinstance(data, str | Path) else data
    on_cpu = torch.device(device).type == "cpu"
    batches = face_stream(
        sources,
        batch_size,
        preparation,
        sampling=sampling,
        rank=rank,
        world_size=world_size,
        workers=workers,
        at_once=1 if on_cpu else None,
    )
    if state is not None:
        batches.load_state_dict(state)
    return on_device(batches, device)
