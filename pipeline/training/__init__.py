"""`facerefs train`: run training from the user's options, in this process or with Ray Train."""
