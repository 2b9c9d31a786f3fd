"""Settings: reading, checking, describing."""
