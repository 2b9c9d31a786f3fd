"""Loss functions, one topic per file, with the numbers of their equations."""
