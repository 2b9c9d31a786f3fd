"""The order of the stream: which sample is at which position, a pure function of the seed."""
