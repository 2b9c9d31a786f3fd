"""The number of channels of StyleGAN2 at each resolution."""

from collections.abc import Mapping
from typing import TypeAlias

Widths: TypeAlias = Mapping[int, int]  # channels by resolution in pixels

SMALLEST_PX, LARGEST_PX = 8, 1024


def widths(size_px: int, multiplier: float = 2, most: int = 512) -> dict[int, int]:
    """Channels at 4, 8, ... size_px; a multiplier of 2 is the paper's config F, 1 its config E.

    Halved from one resolution to the next, but never more than `most`: with 2, 512 up to 64 px, 256 at 128 px.
    Raises ValueError if size_px is no power of two from 8 to 1024, or if a resolution would have no channels.
    """
    channels = {side: min(most, int(multiplier * 16384 / side)) for side in resolutions(size_px)}
    if min(channels.values()) < 1:
        raise ValueError(
            f"a channel multiplier of {multiplier} with at most {most} channels leaves none at {size_px} px"
        )
    return channels


def resolutions(size_px: int) -> list[int]:
    """4, 8, ... size_px. Raises ValueError if size_px is no power of two from 8 to 1024."""
    if not (SMALLEST_PX <= size_px <= LARGEST_PX and size_px.bit_count() == 1):
        raise ValueError(
            f"StyleGAN2 needs a size of a power of two from {SMALLEST_PX} to {LARGEST_PX}, not {size_px}"
        )
    return [1 << power for power in range(2, size_px.bit_length())]


def checked(size_px: int, channels: Widths) -> dict[int, int]:
    """The channels of 4 to size_px only. Raises ValueError if one is missing or not positive."""
    sides = resolutions(size_px)
    bad = [side for side in sides if channels.get(side, 0) < 1]
    if bad:
        raise ValueError(f"StyleGAN2 of {size_px} px needs channels at {', '.join(map(str, bad))} px")
    return {side: channels[side] for side in sides}
