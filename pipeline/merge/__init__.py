"""Joins finished builds into one: what was made of their photos is taken over, not made again."""
