"""Who consumes the shards: stream, training loop, losses and models."""
