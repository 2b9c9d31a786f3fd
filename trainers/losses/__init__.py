"""What training minimises, one subject to a file, with the number of its equation."""
