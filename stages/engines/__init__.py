"""The networks that look at a face: detector, landmarks, embedder; one file per engine."""
