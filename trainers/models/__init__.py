"""One paper, one file: network, losses, phases."""
