"""The least certain decisions, each with the line of `overrides.csv` that overturns it."""
