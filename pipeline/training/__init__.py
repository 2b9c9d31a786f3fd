"""`facerefs train`: from options to a run, in this process or on Ray Train."""
