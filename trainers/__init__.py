"""Training on shards: the sample stream, the training loop, losses and models."""
