"""Where a face is: 68 landmarks, boxes, alignment, head pose."""
