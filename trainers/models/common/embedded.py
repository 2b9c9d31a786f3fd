"""Check that the embeddings in the shards come from the model's identity network."""

from collections.abc import Callable

from facerefs.trainers.identity.embedder import IdentityEmbedder, check_same
from facerefs.trainers.stream.batches.device_batch import DeviceBatch


def embedding_check(identity: IdentityEmbedder | None, stored: str) -> Callable[[DeviceBatch], None] | None:
    """The `TrainingModule.check` that compares a batch's embeddings with those of `identity`.

    stored: the name of the embedder that made them. None if that is another one, or if there is no `identity`.
    """
    if identity is None or identity.name != stored:
        return None
    return lambda batch: check_same(identity, batch.target, batch.landmarks, batch.embedding)
