"""Nearest-neighbour search: with FAISS, by cosine in blocks, and by Hamming distance."""
