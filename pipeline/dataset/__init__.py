"""The files beside the shards: manifest, dataset card, credits, Croissant metadata."""
