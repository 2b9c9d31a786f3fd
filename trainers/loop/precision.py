"""Numeric precision and speed of the networks: autocast, TF32, channels-last layout, compilation, eval mode."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from facerefs.trainers.loop.settings import Loop
from facerefs.trainers.loop.training_module import Networks


@contextmanager
def computing(loop: Loop, device: torch.device, exact: bool) -> Iterator[None]:
    """A context for forward passes in the loop's precision, or, if `exact`, in float32 and uncompiled.

    Compiled networks have no second derivatives, which `exact` phases need.
    """
    with ExitStack() as stack:
        if loop.compile and exact:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if loop.precision == "bfloat16" and not exact:
            stack.enter_context(torch.autocast(device.type, torch.bfloat16))
        yield


def round_products(precision: str) -> None:
    """Allow TF32 for float32 products on a GPU only if `precision` is "tf32"; cuDNN uses it by default."""
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def use_channels_last(networks: Networks) -> None:
    """Store all weights of 2-d convolutions as (out, height, width, in), which is faster on GPUs."""
    for network in networks.values():
        for parameter in network.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def compile_networks(networks: Networks) -> None:
    """Compile each network's forward pass with torch.compile, in place; it happens at the first call."""
    for network in networks.values():
        network.compile()


@contextmanager
def evaluating(networks: Networks) -> Iterator[None]:
    """A context with the networks in eval mode and without gradients; afterwards each module's mode is restored."""
    modules: list[nn.Module] = [module for network in networks.values() for module in network.modules()]
    training = [module.training for module in modules]
    try:
        for network in networks.values():
            network.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in zip(modules, training, strict=True):
            module.training = mode
