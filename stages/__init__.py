"""What happens to a photo: one stage, one file, and beside them what several stages need."""
