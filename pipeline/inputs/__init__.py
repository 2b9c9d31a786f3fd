"""What each part stage reads: the rows of a part, joined from the tables and columns that the stage names."""
