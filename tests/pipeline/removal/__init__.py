"""People and photos are removed for good."""
