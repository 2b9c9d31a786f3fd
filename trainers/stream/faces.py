"""The stream of face samples: reads shards, gives batches of targets with references, landmarks and degradations."""

from collections.abc import Sequence
from functools import partial

from facerefs.trainers.stream.batches.batch import FaceBatch, collate
from facerefs.trainers.stream.samples.prepare import FacePreparation, Prepared
from facerefs.trainers.stream.shards.cache import ShardCache
from facerefs.trainers.stream.stream import Sampling, Source, StartMethod, Stream

_AS_STORED = FacePreparation()


def face_stream(
    sources: Sequence[Source],
    batch_size: int,
    preparation: FacePreparation = _AS_STORED,
    sampling: Sampling = "sample",
    rank: int = 0,
    world_size: int = 1,
    workers: int = 2,
    prefetch: int = 2,
    timeout_s: float = 300.0,
    start_method: StartMethod = "forkserver",
    cache: ShardCache | None = None,
    at_once: int | None = None,
) -> Stream[Prepared, FaceBatch]:
    """A `Stream` of `FaceBatch`es; its order and its random numbers both follow from the seed of the preparation.

    at_once: see `collate`; 1 if a CPU degrades the faces. The other parameters are those of `Stream`. Pass the result
    to `on_device`, which converts to float, degrades and warps; then take the state for resuming from there.
    """
    return Stream(
        sources,
        batch_size,
        preparation,
        partial(collate, references=preparation.references, at_once=at_once),
        seed=preparation.seed,
        sampling=sampling,
        rank=rank,
        world_size=world_size,
        workers=workers,
        prefetch=prefetch,
        timeout_s=timeout_s,
        start_method=start_method,
        cache=cache,
    )
