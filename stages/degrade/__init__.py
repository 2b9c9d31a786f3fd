"""Degrade faces: a recipe draws theta (the list of operations with all their numbers), `apply_theta` applies it."""
