"""Copies: the rule by which two photos or faces show one shot, and what it measures."""
