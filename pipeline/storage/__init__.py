"""A build's folder on disk: tables, tars, journals, lock, fingerprints."""
