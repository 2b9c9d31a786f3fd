"""The stream of face samples: shards in, batches of targets with references, landmarks and degradations out."""

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
    """A `Stream` of `FaceBatch`es, whose order and whose chances both follow from the seed of the preparation.

    at_once: see `collate`; 1 if a CPU is to degrade the faces. All else as in `Stream`. Give it to `on_device`, which
    makes floats of it, degrades and warps; and take the state to resume from then from there.
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
