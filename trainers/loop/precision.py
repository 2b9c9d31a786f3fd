"""How exactly networks compute: autocast, channels last, and what of it a phase does without."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from facerefs.trainers.loop.settings import Loop
from facerefs.trainers.loop.training_module import Networks


@contextmanager
def computing(loop: Loop, device: torch.device, exact: bool) -> Iterator[None]:
    """Within, forward passes run in the loop's precision, or, if they must be exact, in float32 and uncompiled.

    What torch compiles has no second derivatives, which is what exact phases are about.
    """
    with ExitStack() as stack:
        if loop.compile and exact:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if loop.precision == "bfloat16" and not exact:
            stack.enter_context(torch.autocast(device.type, torch.bfloat16))
        yield


def round_products(precision: str) -> None:
    """Let a GPU round the factors of float32 products to TF32 only if that was asked for: cuDNN does so unasked."""
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def use_channels_last(networks: Networks) -> None:
    """Lay out all weights of 2-d convolutions as (out, height, width, in), which GPUs convolve faster with."""
    for network in networks.values():
        for parameter in network.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def compile_networks(networks: Networks) -> None:
    """Have torch compile each network's forward pass, in place, when it first runs."""
    for network in networks.values():
        network.compile()


@contextmanager
def evaluating(networks: Networks) -> Iterator[None]:
    """Within, the networks are in eval mode and nothing is recorded for gradients; afterwards all is as before."""
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
