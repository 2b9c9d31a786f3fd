"""Where faces are, batched in torch: thin-plate splines, face masks, regions of interest, landmark jitter."""
