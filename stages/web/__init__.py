"""The web as a safe and polite crawler meets it: one hop at a time, whom it may ask, how often, and for what."""
