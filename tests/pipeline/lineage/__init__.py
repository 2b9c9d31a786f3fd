"""Tests of `facerefs.pipeline.lineage`."""
