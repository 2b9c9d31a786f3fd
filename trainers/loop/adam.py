"""Adam as the papers set it, with the correction for lazy regularisation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim import Optimizer

from facerefs.trainers.loop.settings import Adam


def adam_for(
    parameters: Iterable[nn.Parameter],
    settings: Adam,
    lazily_every: int | None = None,
    lr_overrides: Mapping[float, Iterable[nn.Parameter]] | None = None,
) -> torch.optim.Adam:
    """Adam over parameters, and over more of them at learning rates of their own (`lr_overrides`).

    lazily_every: a second phase of the same optimiser comes each so many steps. Rates and betas are then corrected as
    in Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", appendix B: c = k / (k + 1), lr c,
    beta ** c.
    """
    share = 1.0 if lazily_every is None else lazily_every / (lazily_every + 1)
    rates = [(settings.lr, parameters), *(lr_overrides or {}).items()]
    groups = [{"params": list(some), "lr": rate * share} for rate, some in rates]
    return torch.optim.Adam(groups, betas=(settings.beta1**share, settings.beta2**share))


def halvings(halved_after: Sequence[int], step: int) -> float:
    """What is left of a learning rate at a step, if it is halved after each of these steps."""
    return 0.5 ** sum(step > mark for mark in halved_after)


@contextmanager
def at_rate(optimiser: Optimizer, share: float) -> Iterator[None]:
    """Within, all learning rates are this share of what they are: so a checkpoint never holds a rate of the moment."""
    rates = [group["lr"] for group in optimiser.param_groups]
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate * share
    try:
        yield
    finally:
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate
