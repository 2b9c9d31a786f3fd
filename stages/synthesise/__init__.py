"""Synthesise references from their targets: other pose, expression, light and age, without any weights."""
