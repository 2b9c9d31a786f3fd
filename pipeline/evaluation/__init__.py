"""Judging restored faces: methods, figures, statistics, tables and a page of pictures."""
