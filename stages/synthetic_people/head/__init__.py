"""A synthetic head: shape, skin, hair, expression, and its exact landmarks."""
