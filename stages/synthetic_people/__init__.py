"""Rendered people: procedural portraits whose identity, landmarks and moles are known exactly."""
