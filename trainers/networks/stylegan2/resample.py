"""Blurring, halving and doubling with the kernel [1, 3, 3, 1] of StyleGAN2, as depthwise convolutions.

They compute in the features' own precision, also under autocast: the kernel is exact in bfloat16. One 4 x 4 convolution
is faster than two of four taps.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

TAPS = (1.0, 3.0, 3.0, 1.0)


class BlurFilter(nn.Module):
    """Blurs (B, C, H, W) to (B, C, H + 2 padding - 3, W + 2 padding - 3), with zero padding."""

    kernel: Tensor

    def __init__(self, padding: int, gain: float = 1.0) -> None:
        super().__init__()
        self.padding = padding
        self.register_buffer("kernel", _kernel(gain), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """The blurred features, times the gain."""
        return _filtered(features, self.kernel, self.padding, 1, False)


class Downsample(nn.Module):
    """Halves (B, C, H, W), H and W even: blur, then every other pixel; only those are computed."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", _kernel(1.0), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H / 2, W / 2)."""
        return _filtered(features, self.kernel, 1, 2, False)


class Upsample(nn.Module):
    """Doubles (B, C, H, W): zeros between the pixels, then blur, times 4 to keep the brightness."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", _kernel(4.0), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, 2 H, 2 W)."""
        return _filtered(features, self.kernel, 1, 2, True)


def _kernel(gain: float) -> Tensor:
    taps = torch.tensor(TAPS)
    return (gain * torch.outer(taps, taps) / taps.sum() ** 2)[None, None]


class _Filter(torch.autograd.Function):
    """A depthwise convolution with a fixed symmetric kernel; its derivatives are convolutions of the same kind.

    torch's own second derivative would also compute the kernel's gradient, channel by channel, and its first one would
    keep the features in memory.
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, kernel: Tensor, padding: int, stride: int, doubles: bool
    ) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.padding, ctx.stride, ctx.doubles = padding, stride, doubles
        channels = features.shape[1]
        weight = kernel.to(features.dtype).expand(channels, 1, 4, 4)
        with torch.autocast(features.device.type, enabled=False):
            apply = conv_transpose2d if doubles else conv2d
            return apply(features, weight, stride=stride, padding=padding, groups=channels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (kernel,) = ctx.saved_tensors
        if ctx.stride == 1:
            return _filtered(gradient, kernel, 3 - ctx.padding, 1, False), None, None, None, None
        return _filtered(gradient, kernel, ctx.padding, ctx.stride, not ctx.doubles), None, None, None, None


def _filtered(features: Tensor, kernel: Tensor, padding: int, stride: int, doubles: bool) -> Tensor:
    out: Tensor = _Filter.apply(features, kernel, padding, stride, doubles)  # type: ignore[no-untyped-call]
    return out
