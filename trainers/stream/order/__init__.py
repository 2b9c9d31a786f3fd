"""Which sample stands at which position of the stream: a pure function of the seed."""
