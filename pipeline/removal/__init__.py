"""`facerefs purge`: people and photos removed from a build for good, and kept out of it from then on."""
