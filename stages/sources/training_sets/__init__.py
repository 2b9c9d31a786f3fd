"""Training sets of facerefs as sources of photos, and how they are recognised."""
