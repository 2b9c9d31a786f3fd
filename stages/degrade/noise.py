"""Gaussian noise that is a pure function of (seed, place in the image).

Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") turns a counter into random
bits by integer arithmetic, and Box-Muller turns those into normal numbers in double precision. Neither
`torch.randn` nor NumPy's `standard_normal` would do: the first differs between CPU and GPU, the second may
change between versions. The same seed gives the same bits on any machine and device, and the same normal
numbers but for the last digit of a 64-bit logarithm or cosine.
"""

import math

import torch
from torch import Tensor

_WORD = 0xFFFFFFFF


def add_noise(image: Tensor, sigma: float, gray: bool, seed: int) -> Tensor:
    """Add noise of standard deviation `sigma` (0-255) and clip to [0, 1], as basicsr's `add_gaussian_noise`.

    image: (..., C, H, W) in [0, 1]; with `gray` all channels get the same noise.
    """
    channels, height, width = image.shape[-3:]
    drawn = normal(seed, height * width * (1 if gray else channels), image.device).view(-1, height, width)
    return (image + drawn.to(image.dtype) * (sigma / 255)).clamp(0, 1)


def normal(seed: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """`count` standard normal numbers of a seed (0 to 2**64 - 1); longer series continue shorter ones.

    Returns (count,) float64.
    """
    blocks = torch.arange(-(-count // 4), device=device)
    words = philox(torch.stack([blocks & _WORD, blocks >> 32, *torch.zeros_like(blocks).expand(2, -1)]), seed)
    uniform = (words.double() + 0.5) * 2.0**-32  # never 0, whose logarithm is infinite
    radius = torch.sqrt(-2 * torch.log(uniform[0::2]))
    angle = math.tau * uniform[1::2]
    return (
        torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1).transpose(0, 1).reshape(-1)[:count]
    )


def philox(counter: Tensor, key: int) -> Tensor:
    """Philox4x32-10 of 128-bit counters under a 64-bit key.

    counter: (4, N) int64, each a 32-bit word. Returns (4, N) int64, each a random 32-bit word.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key & _WORD, key >> 32
    for _ in range(10):
        high0, low0 = _multiply(c0, 0xD2511F53)
        high1, low1 = _multiply(c2, 0xCD9E8D57)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & _WORD, (k1 + 0xBB67AE85) & _WORD
    return torch.stack([c0, c1, c2, c3])


def _multiply(words: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """High and low 32 bits of a product; int64 wraps around, which keeps the product's 64 bits intact."""
    product = words * factor
    return (product >> 32) & _WORD, product & _WORD
