"""Face parsing: the network and its labels, and the hull of the landmarks, which stands in for it."""
