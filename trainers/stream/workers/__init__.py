"""Worker processes that load and prepare samples, and the handling of corrupt samples."""
