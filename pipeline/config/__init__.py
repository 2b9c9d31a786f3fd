"""Read, check and describe settings."""
