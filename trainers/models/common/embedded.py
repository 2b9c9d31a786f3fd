"""Whether the embeddings of the shards are those of the network that a model judges identity by."""

from collections.abc import Callable

from facerefs.trainers.identity.embedder import IdentityEmbedder, check_same
from facerefs.trainers.stream.batches.device_batch import DeviceBatch


def embedding_check(identity: IdentityEmbedder | None) -> Callable[[DeviceBatch], None] | None:
    """What `TrainingModule.check` is to do: compare some embeddings by figures; None without an embedder."""
    if identity is None:
        return None
    return lambda batch: check_same(identity, batch.target, batch.landmarks, batch.embedding)
