"""Published pairs and splits: reads their files into tables of the build."""
