"""Peak signal-to-noise ratio."""

from torch import Tensor

from facerefs.trainers.metrics.levels import levels


def psnr(restored: Tensor, truth: Tensor) -> Tensor:
    """PSNR in dB of each image (B,), float64: `10 log10(255^2 / MSE)` over all RGB values, no crop.

    Images (B, 3, H, W) RGB in [-1, 1], rounded to 8 bits first. Equal images have infinity, as in basicsr and
    scikit-image: the formula says so, and any other figure would be invented.
    """
    error = (levels(restored) - levels(truth)).square().mean((1, 2, 3))
    return 10 * (255**2 / error).log10()
