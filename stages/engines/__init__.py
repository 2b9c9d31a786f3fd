"""The networks that look at a face: detector, landmarks, embedder, parser; one file per engine."""
