"""Pseudo-random numbers as a pure function of integers: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

NumPy does not guarantee the same random numbers across versions; these are the same everywhere, always.
"""

import numpy as np
from numpy.typing import NDArray

UInt64s = NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""The increment of the state of SplitMix64 from one number to the next."""

_MASK = (1 << 64) - 1


def mixed(x: UInt64s) -> UInt64s:
    """Mixed numbers, in which every bit depends on every bit of x (variant 13 of Stafford's mixers)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def numbers(key: int | UInt64s, index: UInt64s) -> UInt64s:
    """The numbers at `index` of the SplitMix64 sequence that starts at `key`; both broadcast."""
    return mixed(np.asarray(key, np.uint64) + GOLDEN * (index + np.uint64(1)))


def fold_in(key: int, *parts: int) -> int:
    """A derived key, 0 to 2**64 - 1, from a key and integers such as purpose and epoch."""
    for part in parts:
        key = int(numbers(key & _MASK, np.array([part & _MASK], np.uint64))[0])
    return key & _MASK


def fold_in_keys(key: int, parts: UInt64s) -> UInt64s:
    """`fold_in(key, part)` for each of many parts."""
    return numbers(key & _MASK, parts)
