"""Random choices that are pure functions of the seed, the place in the stream and a name."""

from facerefs.stages.degrade.draws import derive_seed


def uniform(seed: int, position: int, name: str) -> float:
    """Uniform in [0, 1), of 53 bits, the same on every machine."""
    return (derive_seed(seed, name, position) >> 11) * 2.0**-53
