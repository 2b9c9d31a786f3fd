"""Adam with the papers' settings, learning-rate factors, and averaging and clipping of gradients over all ranks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.loop.settings import Adam


def adam_for(
    parameters: Iterable[nn.Parameter],
    settings: Adam,
    lazily_every: int | None = None,
    lr_overrides: Mapping[float, Iterable[nn.Parameter]] | None = None,
) -> torch.optim.Adam:
    """Adam for `parameters`, and for more parameters with learning rates of their own (`lr_overrides`).

    lazily_every: the interval k of a lazy phase that uses the same optimiser. Learning rates and betas are then
    corrected as in Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", appendix B:
    c = k / (k + 1), lr c, beta ** c.
    """
    share = 1.0 if lazily_every is None else lazily_every / (lazily_every + 1)
    rates = [(settings.lr, parameters), *(lr_overrides or {}).items()]
    groups = [{"params": list(some), "lr": rate * share} for rate, some in rates]
    return torch.optim.Adam(groups, betas=(settings.beta1**share, settings.beta2**share))


def halvings(halved_after: Sequence[int], step: int) -> float:
    """The learning-rate factor at a step: halved after each step in `halved_after`."""
    return 0.5 ** sum(step > mark for mark in halved_after)


@contextmanager
def at_rate(optimiser: Optimizer, share: float) -> Iterator[None]:
    """A context in which all learning rates are multiplied by `share`; a checkpoint never holds the reduced rates."""
    rates = [group["lr"] for group in optimiser.param_groups]
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate * share
    try:
        yield
    finally:
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate


def average_gradients(parameters: Sequence[nn.Parameter], ranks: Distributed) -> None:
    """Replace the gradients by their mean over all ranks, with one message for each dtype; NaN stays NaN.

    A parameter that has no gradient on any rank keeps none; if only some ranks have none, it counts as zero there.
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
    """The Euclidean norm () of all gradients, before they are clipped to `clip_norm` (None: not clipped)."""
    gradients = _gradients(parameters)
    norm = nn.utils.get_total_norm(gradients)
    if clip_norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
    return norm


def _gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
