"""Access to shards and their samples: folders, indexes, cache, downloads."""
