"""Prepare one sample: choose references, decode, reduce, mirror, crop."""
