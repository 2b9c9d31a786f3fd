"""Exports of a training set in the layouts of other programs."""
