"""How stages run: parts, fingerprints compared, workers on Ray, progress."""
