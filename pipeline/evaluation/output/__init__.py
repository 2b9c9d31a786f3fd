"""Where the figures go: console, files, page."""
