"""The lines of `overrides.csv` about identities, and how they are applied to the clusters."""
