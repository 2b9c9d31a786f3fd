"""One sample: decoded, mirrored, cropped, reduced, with its references chosen."""
