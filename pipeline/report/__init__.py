"""The report of a build: one HTML file that loads nothing from elsewhere."""
