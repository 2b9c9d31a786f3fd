"""The restoration bench: a photo and references in, the restored photo beside it."""
