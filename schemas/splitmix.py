"""Pseudo-random numbers as a pure function of integers: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

NumPy promises no stream of numbers across its versions; these are the same everywhere and for ever.
"""

import numpy as np
from numpy.typing import NDArray

UInt64s = NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""By how much the state of SplitMix64 grows from one number to the next."""

_MASK = (1 << 64) - 1


def mixed(x: UInt64s) -> UInt64s:
    """Numbers of which every bit depends on every bit of x's (variant 13 of Stafford's mixers)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def numbers(key: int | UInt64s, index: UInt64s) -> UInt64s:
    """The numbers at `index` of the SplitMix64 sequence that starts at `key`; both broadcast."""
    return mixed(np.asarray(key, np.uint64) + GOLDEN * (index + np.uint64(1)))


def fold_in(key: int, *parts: int) -> int:
    """The key of a sequence within a sequence: (seed, what it is for, epoch ...) -> 0 to 2**64 - 1."""
    for part in parts:
        key = int(numbers(key & _MASK, np.array([part & _MASK], np.uint64))[0])
    return key & _MASK


def fold_in_keys(key: int, parts: UInt64s) -> UInt64s:
    """`fold_in(key, part)` for each of many parts."""
    return numbers(key & _MASK, parts)
