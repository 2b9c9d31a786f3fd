"""Masks of the facial pixels of a photo, by a face parser or by the hull of the landmarks."""
