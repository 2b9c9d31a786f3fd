"""Random choices that are pure functions of the seed, the place in the stream and a name."""

import hashlib


def uniform(seed: int, position: int, name: str) -> float:
    """Uniform in [0, 1), of 53 bits: the SHA-256 of (seed, position, name), the same on every machine."""
    digest = hashlib.sha256(f"{seed}/{position}/{name}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53
