"""Worker processes that load and prepare samples, and what becomes of corrupt ones."""
