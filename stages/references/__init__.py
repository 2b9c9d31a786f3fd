"""Choose reference photos for each face: compare the faces of a person, apply the limits, rank the rest."""
