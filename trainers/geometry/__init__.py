"""Geometry of faces, batched in torch: thin-plate splines, face masks, regions of interest, landmark jitter."""
