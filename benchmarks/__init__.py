"""Benchmarks: the peer and us in the same run, on the same input, with the ratio and its spread."""
