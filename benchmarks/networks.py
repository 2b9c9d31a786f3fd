"""StyleGAN2 forward and backward: ours and two public ones in plain torch, on the GPU if there is one.

The peers are GFPGAN's `StyleGAN2GeneratorClean`, which doubles bilinearly instead of with the paper's kernel, and
basicsr's generator and discriminator, whose compiled `upfirdn2d` is replaced by the usual plain form: zeros in between,
padding, and one convolution over (B C, 1, H, W). The peers always run channels first: basicsr's discriminator cannot do
otherwise. basicsr is installed; GFPGAN is only read: `pip download gfpgan==1.3.8
--no-deps`, unzip the wheel, and give its folder as --peer; without it, basicsr is the only peer.
"""

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu

from benchmarks.paired import Comparison, compare, write
from facerefs.trainers.losses.regularise import r1
from facerefs.trainers.networks.stylegan2.discriminator import Discriminator
from facerefs.trainers.networks.stylegan2.generator import Generator
from facerefs.trainers.networks.stylegan2.widths import widths
from tests.stages.degrade.basicsr_oracle import basicsr_module

STYLE_DIM, MAPPING_LAYERS = 512, 8
CLEAN = Path("archs/stylegan2_clean_arch.py")


def main() -> None:
    """Print the ratios, and write benchmarks/out/networks.json."""
    options = _options()
    basicsr = basicsr_module(
        "basicsr.archs.stylegan2_arch"
    )  # this door also lets GFPGAN's file import basicsr
    _make_plain(basicsr)
    peers = [basicsr] if options.peer is None else [_clean(options.peer), basicsr]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    comparisons: list[Comparison] = []
    for size_px in (options.size, 512) if options.full else (options.size,):
        for layout in (torch.contiguous_format, torch.channels_last):
            comparisons += Bench(size_px, options.batch, device, layout, options.runs)(peers)
    write("networks", comparisons)


class Bench:
    """All cases at one size and one layout of our weights."""

    def __init__(
        self, size_px: int, batch: int, device: torch.device, layout: torch.memory_format, runs: int
    ) -> None:
        self.size_px, self.batch, self.device, self.layout, self.runs = size_px, batch, device, layout, runs
        name = "channels last" if layout == torch.channels_last else "channels first"
        self.case = f"{size_px} px, batch {batch}, {device.type}, {name}"

    def __call__(self, peers: Sequence[ModuleType]) -> list[Comparison]:
        """Generators against all peers, discriminators and R1 against the last, basicsr's; bfloat16 too on a GPU."""
        basicsr = peers[-1]
        made = [self._generators(peer, False) for peer in peers]
        made += [self._discriminators(basicsr, False), self._r1(basicsr)]
        if self.device.type == "cuda":
            made += [self._generators(peers[0], True), self._discriminators(basicsr, True)]
        return made

    def _generators(self, peer: ModuleType, bf16: bool) -> Comparison:
        latents = torch.randn(self.batch, STYLE_DIM, device=self.device)
        ours = self._placed(Generator(self.size_px, widths(self.size_px)), self.layout)
        kind = getattr(peer, "StyleGAN2GeneratorClean", None) or peer.StyleGAN2Generator
        theirs = self._placed(kind(self.size_px, STYLE_DIM, MAPPING_LAYERS))
        return self._compare(
            f"generator and {kind.__name__}",
            lambda: ours(latents),
            lambda: theirs([latents])[0],
            ours,
            theirs,
            bf16,
        )

    def _discriminators(self, peer: ModuleType, bf16: bool) -> Comparison:
        ours, theirs, images = self._judges(peer)
        case = "discriminator and StyleGAN2Discriminator"
        return self._compare(case, lambda: ours(images), lambda: theirs(images), ours, theirs, bf16)

    def _r1(self, peer: ModuleType) -> Comparison:
        ours, theirs, images = self._judges(peer)
        real = images.requires_grad_()
        case = "R1 of discriminator and StyleGAN2Discriminator"
        return self._compare(
            case, lambda: r1(real, ours(real)), lambda: r1(real, theirs(real)), ours, theirs, False
        )

    def _judges(self, peer: ModuleType) -> tuple[nn.Module, nn.Module, Tensor]:
        ours = self._placed(Discriminator(self.size_px, widths(self.size_px)), self.layout)
        theirs = self._placed(peer.StyleGAN2Discriminator(self.size_px))
        return ours, theirs, torch.randn(self.batch, 3, self.size_px, self.size_px, device=self.device)

    def _placed(self, network: nn.Module, layout: torch.memory_format = torch.contiguous_format) -> nn.Module:
        network.to(self.device)
        for parameter in network.parameters():
            if parameter.dim() == 4:  # what the training loop does
                parameter.data = parameter.data.contiguous(memory_format=layout)
        return network

    def _compare(
        self,
        case: str,
        ours: Callable[[], Tensor],
        theirs: Callable[[], Tensor],
        our_network: nn.Module,
        their_network: nn.Module,
        bf16: bool,
    ) -> Comparison:
        repeats = 10 if self.device.type == "cuda" else 1
        return compare(
            f"{case}, {self.case}{', bfloat16' if bf16 else ''}",
            partial(_forward_backward, ours, our_network, repeats, bf16),
            partial(_forward_backward, theirs, their_network, repeats, bf16),
            60 * self.batch * repeats,
            "images/min",
            runs=self.runs,
        )


def _forward_backward(run: Callable[[], Tensor], network: nn.Module, repeats: int, bf16: bool) -> None:
    device = next(network.parameters()).device
    for _ in range(repeats):
        with torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext():
            out = run()
        out.float().sum().backward()  # type: ignore[no-untyped-call]
        network.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, help="folder that holds GFPGAN's package `gfpgan`")
    parser.add_argument("--full", action="store_true", help="512 px too")
    parser.add_argument("--size", type=int, default=256, help="pixels")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


def _clean(folder: Path) -> ModuleType:
    """GFPGAN's one file: its package would import far more."""
    path = folder / "gfpgan" / CLEAN
    spec = importlib.util.spec_from_file_location("stylegan2_clean_arch", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise SystemExit(f"{folder} does not hold GFPGAN: unzip the wheel of gfpgan 1.3.8 there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _make_plain(module: Any) -> None:
    """Give basicsr's StyleGAN2 plain operators in place of those that want a compiled extension."""
    module.upfirdn2d, module.fused_leaky_relu, module.FusedLeakyReLU = _upfirdn2d, _fused, _Fused


def _upfirdn2d(
    x: Tensor, kernel: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)
) -> Tensor:
    batch, channels, height, width = x.shape
    x = x.reshape(batch * channels, 1, height, 1, width, 1)
    x = nn.functional.pad(x, (0, up - 1, 0, 0, 0, up - 1)).view(-1, 1, height * up, width * up)
    x = conv2d(nn.functional.pad(x, (*pad, *pad)), kernel.flip(0, 1)[None, None].to(x))[:, :, ::down, ::down]
    return x.reshape(batch, channels, *x.shape[2:])


def _fused(x: Tensor, bias: Tensor) -> Tensor:
    return leaky_relu(x + bias.view(1, -1, *[1] * (x.ndim - 2)), 0.2) * 2**0.5


class _Fused(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return _fused(x, self.bias)


if __name__ == "__main__":
    main()
