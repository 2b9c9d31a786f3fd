"""Nearest neighbours: by FAISS, by cosine in blocks, by Hamming distance."""
