"""Pretrained weights: where they are, and what of them fits."""
