"""Differentiable face embedders, as torch networks."""
