"""facerefs."""
