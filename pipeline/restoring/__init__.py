"""`facerefs restore`: photos in, restored faces out."""
