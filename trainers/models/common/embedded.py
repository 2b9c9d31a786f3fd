"""Check that the embeddings in the shards come from the model's identity network."""

from collections.abc import Callable

from facerefs.trainers.identity.embedder import IdentityEmbedder, check_same
from facerefs.trainers.stream.batches.device_batch import DeviceBatch


def embedding_check(identity: IdentityEmbedder | None) -> Callable[[DeviceBatch], None] | None:
    """The `TrainingModule.check` that compares a batch's embeddings with those of `identity`; None without one."""
    if identity is None:
        return None
    return lambda batch: check_same(identity, batch.target, batch.landmarks, batch.embedding)
