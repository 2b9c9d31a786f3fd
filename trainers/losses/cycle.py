"""The second half of ReFine's cycle: the restored face, degraded as the truth was."""

from typing import Any

import torch
from torch import Tensor

from facerefs.stages.degrade.apply_theta import degrade_and_resize_back
from facerefs.stages.degrade.program import Program


def degraded_again(restored: Tensor, program: Program) -> Tensor:
    """`T(x^, theta)`, eq. 3: with the very theta and noise of the batch's program.

    restored: (B, 3, H, W) RGB in about [-1, 1]. Returns the same shape in [-1, 1], float32, to be compared with the
    batch's degraded faces: the ground truth gives the very same, but for the rounding of [-1, 1] to [0, 1].

    Values outside [-1, 1] are clamped first (choice): so they are when a face is saved, and a network must not explain
    the degraded face by values that nobody will see. The gradient of a clamped value passes if it leads back into the
    range, and stops if it leads further out: no pixel is stuck outside, and none is driven away.
    """
    unit = _clamped(restored.float()) / 2 + 0.5
    return degrade_and_resize_back(unit, program) * 2 - 1


def _clamped(images: Tensor) -> Tensor:
    clamped: Tensor = _Clamp.apply(images)  # type: ignore[no-untyped-call]
    return clamped


class _Clamp(torch.autograd.Function):
    """To [-1, 1]; the gradient is that of the projected descent."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        ctx.save_for_backward(images)
        return images.clamp(-1, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (images,) = ctx.saved_tensors
        leads_out = ((images > 1) & (gradient < 0)) | ((images < -1) & (gradient > 0))
        return gradient.masked_fill(leads_out, 0)
