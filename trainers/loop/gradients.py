"""Gradients of all ranks as one, their norm, and their clipping."""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from facerefs.trainers.distributed import Distributed


def average_gradients(parameters: Sequence[nn.Parameter], ranks: Distributed) -> None:
    """Give all ranks the mean of their gradients: one message for each dtype; NaN stays NaN.

    A parameter without a gradient on any rank stays without; one without on some counts as zero there.
    """
    if ranks.world_size == 1:
        return
    anywhere = ranks.largest([float(parameter.grad is not None) for parameter in parameters])
    for parameter, has in zip(parameters, anywhere, strict=True):
        if has and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = sorted(_gradients(parameters), key=lambda gradient: str(gradient.dtype))
    for _, of_type in groupby(gradients, key=lambda gradient: gradient.dtype):
        together = list(of_type)
        flat = torch.cat([gradient.flatten() for gradient in together])
        ranks.mean_(flat)
        shares = torch.split(flat, [gradient.numel() for gradient in together])
        for gradient, share in zip(together, shares, strict=True):
            gradient.copy_(share.view_as(gradient))


def clipped_norm(parameters: Sequence[nn.Parameter], clip_norm: float | None) -> Tensor:
    """The Euclidean norm () of all gradients, before they are clipped to `clip_norm`."""
    gradients = _gradients(parameters)
    norm = nn.utils.get_total_norm(gradients)
    if clip_norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
    return norm


def _gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
