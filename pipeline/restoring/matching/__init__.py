"""Decide whose face is whose, and which reference photo helps it most."""
