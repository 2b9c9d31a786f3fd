"""How it runs: configuration, storage, the Ray runner, the command line and the report."""
