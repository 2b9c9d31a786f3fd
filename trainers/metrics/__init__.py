"""Metrics of restored faces and of landmarks."""
