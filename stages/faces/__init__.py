"""Geometry of faces: 68 landmarks, boxes, alignment, head pose."""
