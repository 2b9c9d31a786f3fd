"""Image files: safe decoding, encoding, perceptual hashes."""
