"""Pretrained weights: find, read and load them."""
