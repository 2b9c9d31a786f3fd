"""Copies: when two photos or faces show one shot, and what is measured to tell."""
