"""Where shards are and which samples they hold: folders, indexes, cache, downloads."""
