"""Figures that a restored face is judged by."""
