"""Where faces are, batched in torch: thin-plate splines, face masks, landmark jitter, boxes of eyes and mouth."""
