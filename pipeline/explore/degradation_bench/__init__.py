"""The degradation bench: sliders of a recipe, and what it makes of a face, at once."""
