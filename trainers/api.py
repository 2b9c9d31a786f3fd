"""`facerefs.stream`: batches of a training set on a device, for your own training code."""

from collections.abc import Sequence
from pathlib import Path

import torch

from facerefs.trainers.geometry.points import TRUTH, PointsSource
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
    points: PointsSource = TRUTH,
) -> DeviceBatches:
    """Endless batches of a training set on a device, in an order determined by the seed of `preparation`.

    data: the folder of a build or of shards, or an address; or several `Source`s, mixed by their weights.
    preparation: the number of references, the degradation (`stored`, or a new one each time), flips, crops, the seed.
    split: used if `data` is a single set. sampling: `sample`, or `identity`: each person equally often.
    workers: worker processes; with one or more, a script needs `if __name__ == "__main__":`.
    rank, world_size: of the processes that train together; `batch_size` is the total over all of them.
    points: source of the landmarks onto which references are warped; those of the clean faces are what nobody has who
        restores a face: train with `jittered()` or `detected(...)` (`facerefs.trainers.geometry.points`).
    state: the result of `state_dict()` of such batches: continues with the next batch.
    Raises StreamError for shards that are missing or do not fit, ValueError for invalid settings.
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
    return on_device(batches, device, points=points)
