"""Which faces show one person: how the cluster stage decides from labels and embeddings."""
