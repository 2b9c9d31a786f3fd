"""Which pixels of a photo are face: by a parser of faces, or by the hull of the landmarks."""
