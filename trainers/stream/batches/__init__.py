"""Prepared samples as batches, on the host and on the device."""
