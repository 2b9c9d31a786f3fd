"""The inputs of the part stages: rows of one part, joined from the tables and columns that a stage reads."""
