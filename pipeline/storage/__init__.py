"""The folder of a build on disk: tables, tars, journals, lock, fingerprints."""
