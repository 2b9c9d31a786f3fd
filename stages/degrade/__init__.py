"""Degradation as a pure function of theta: a recipe draws theta, `apply_theta` applies it."""
