"""Where each sample comes from, and where each photo went."""
