"""What `overrides.csv` decides about identities, and how it is applied."""
