"""`facerefs verify`: check a training set byte by byte; its files are not trusted."""
