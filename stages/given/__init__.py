"""Published lists of pairs and splits: which photos, faces and people their names mean."""
