"""What stands beside the shards: manifest, dataset card, credits, Croissant."""
