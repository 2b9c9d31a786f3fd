"""Protocols: test sets that are the same for everybody, each described by one file."""
