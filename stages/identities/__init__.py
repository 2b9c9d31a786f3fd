"""Who is who: what the cluster stage weighs labels and embeddings with."""
