"""Random numbers as a pure function of a seed, the same on every machine and device.

Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), equal to NumPy's bit generator
`Philox`, which is used on a CPU. `torch.randn` differs between CPU and GPU, and NumPy's `standard_normal` may change
between versions; NumPy's bit generators may not.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from facerefs.stages.degrade.operations.constant import constant

BLOCK = 8  # numbers of 32 bits per counter
_LOW = 0xFFFFFFFF
_FACTORS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)


def uniform(seeds: Tensor, counts: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Uniform numbers in (0, 1), with 32 random bits each: those of the first seed, then of the second, and so on.

    seeds: (B,) int64, each at least 0. counts: how many numbers for each seed, rounded up to blocks of 8. Returns (N,)
    of a floating dtype on the seeds' device. A longer series begins with a shorter one.
    """
    blocks = [-(-count // BLOCK) for count in counts]
    if seeds.device.type == "cpu":
        each = (
            np.random.Philox(key=seed).random_raw(4 * count)
            for seed, count in zip(seeds.tolist(), blocks, strict=True)
        )
        words = np.concatenate([np.empty(0, np.uint64), *each])
        halves = torch.from_numpy(
            words.view("<u4").astype(np.float64 if dtype == torch.float64 else np.float32)
        )
    else:
        halves = _halves(random_words(seeds, blocks)).to(dtype)
    return halves.add_(0.5).mul_(2.0**-32)  # never 0, whose logarithm is infinite


def random_words(seeds: Tensor, blocks: Sequence[int]) -> Tensor:
    """64-bit words (N, 4) int64 of all seeds, equal to NumPy's `Philox(key=seed).random_raw(4 * blocks)`."""
    repeats = constant(blocks, seeds)
    first = torch.repeat_interleave(repeats.cumsum(0) - repeats, repeats, output_size=sum(blocks))
    counter = torch.arange(1, sum(blocks) + 1, device=seeds.device) - first
    zero = torch.zeros_like(counter)
    c0, c1, c2, c3 = counter, zero, zero, zero
    k0, k1 = torch.repeat_interleave(seeds, repeats, output_size=sum(blocks)), zero
    for _ in range(10):
        high0, low0 = _product(c0, _FACTORS[0])
        high1, low1 = _product(c2, _FACTORS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + _signed(_KEY_STEPS[0]), k1 + _signed(_KEY_STEPS[1])
    return torch.stack([c0, c1, c2, c3], 1)


def _product(words: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """The high and low 64 bits of an unsigned product; int64 overflow keeps the low bits intact."""
    low, high = words & _LOW, (words >> 32) & _LOW
    factor_low, factor_high = factor & _LOW, factor >> 32
    cross, other = high * factor_low, low * factor_high
    carry = (((low * factor_low) >> 32) & _LOW) + (cross & _LOW) + (other & _LOW)
    upper = high * factor_high + ((cross >> 32) & _LOW) + ((other >> 32) & _LOW) + (carry >> 32)
    return upper, words * _signed(factor)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def _halves(words: Tensor) -> Tensor:
    """The low, then the high 32 bits of each word, one after the other."""
    return torch.stack([words & _LOW, (words >> 32) & _LOW], -1).flatten()
