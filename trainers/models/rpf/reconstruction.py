"""RPF's reconstruction blocks, one after the other (section III.B, figure 2).

Networks have the names `warping_1`, `synthesis_1`, `refinement_1` and so on, so that training can select some of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from facerefs.trainers.geometry.flow import backward_warp
from facerefs.trainers.geometry.sizes import enlarged, reduced

BLACK = -1.0


@dataclass(frozen=True, eq=False)
class Block:
    """The output of reconstruction block n: images (B, 3, S, S), S = 2^n L. Without a reference, two are None."""

    aligned: Tensor | None
    synthesised: Tensor | None
    output: Tensor


def run_block(
    networks: Mapping[str, nn.Module], number: int, image: Tensor, reference: Tensor | None
) -> Block:
    """Run block n: x^(n) (B, 3, S / 2, S / 2) to x^(n+1) (B, 3, S, S); masked reference (B, 3, 2^N L, 2^N L) or None.

    The refinement module gets the mean of the bicubic image and the synthesised one.
    """
    side_px = 2 * image.shape[-1]
    bicubic = enlarged(image, side_px)
    if reference is None:
        return Block(None, None, networks[f"refinement_{number}"](bicubic))
    aligned = align(networks, number, image, reference)
    synthesised = networks[f"synthesis_{number}"](image, aligned)
    output = networks[f"refinement_{number}"]((bicubic + synthesised) / 2)
    return Block(aligned, synthesised, output)


def align(networks: Mapping[str, nn.Module], number: int, image: Tensor, reference: Tensor) -> Tensor:
    """The aligned reference r~^(n) (B, 3, S, S), eq. 2."""
    there = reduced(reference, 2 * image.shape[-1])
    return backward_warp(there, networks[f"warping_{number}"](image, there))


def run_blocks(
    networks: Mapping[str, nn.Module], count: int, image: Tensor, reference: Tensor | None
) -> Tensor:
    """x^(count + 1): the output of the first `count` blocks for the L x L image x^(1)."""
    for number in range(1, count + 1):
        image = run_block(networks, number, image, reference).output
    return image


def masked(images: Tensor, masks: Tensor) -> Tensor:
    """Eq. 1: images in [-1, 1] that are black (choice) where masks (B, 1, H, W) in [0, 1] are 0."""
    return (images - BLACK) * masks + BLACK
