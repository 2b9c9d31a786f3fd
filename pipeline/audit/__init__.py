"""`facerefs audit`: what the guards of a build say against its pairs and splits, its own or published ones."""
