"""The second half of ReFine's cycle: degrade the restored face in the same way as the ground truth."""

from typing import Any

import torch
from torch import Tensor

from facerefs.stages.degrade.apply_theta import degrade_and_resize_back
from facerefs.stages.degrade.program import Program


def degraded_again(restored: Tensor, program: Program) -> Tensor:
    """The restored faces, degraded again: `T(x^, theta)`, eq. 3, with the same theta and noise as the batch's program.

    restored: (B, 3, H, W) RGB in about [-1, 1]. Returns the same shape in [-1, 1], float32, for comparison with the
    batch's degraded faces: the ground truth gives exactly those, except for the rounding of [-1, 1] to [0, 1].

    Values outside [-1, 1] are clamped first (choice), as when a face is saved: a network must not explain the degraded
    face by values that are never visible. The gradient of a clamped value passes if it leads back into the range, and
    is 0 if it leads further out: so no pixel gets stuck outside, and none is pushed further away.
    """
    unit = _clamped(restored.float()) / 2 + 0.5
    return degrade_and_resize_back(unit, program) * 2 - 1


def _clamped(images: Tensor) -> Tensor:
    clamped: Tensor = _Clamp.apply(images)  # type: ignore[no-untyped-call]
    return clamped


class _Clamp(torch.autograd.Function):
    """Clamps to [-1, 1]; the gradient is that of projected gradient descent."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        ctx.save_for_backward(images)
        return images.clamp(-1, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (images,) = ctx.saved_tensors
        leads_out = ((images > 1) & (gradient < 0)) | ((images < -1) & (gradient > 0))
        return gradient.masked_fill(leads_out, 0)
