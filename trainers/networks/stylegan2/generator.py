"""StyleGAN2's generator: a mapping from latents to styles, and a synthesis of images from styles."""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from facerefs.trainers.networks.stylegan2.layers import EPSILON, EqualLinear, StyledConv, ToRGB
from facerefs.trainers.networks.stylegan2.resample import Upsample
from facerefs.trainers.networks.stylegan2.widths import Widths, checked

Noise: TypeAlias = Literal["random", "none"]
Fuse: TypeAlias = Callable[[int, Tensor], Tensor]
Beside: TypeAlias = dict[int, Tensor]


class Mapping(nn.Module):
    """Latents to styles: normalisation, then linear layers with a lower learning rate than the rest. In float32."""

    def __init__(self, style_dim: int, layers: int, lr_multiplier: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EqualLinear(style_dim, style_dim, lr_multiplier=lr_multiplier, activate=True)
            for _ in range(layers)
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Styles (..., S) of latents (..., S) from N(0, 1)."""
        with torch.autocast(latents.device.type, enabled=False):
            styles = latents.float()
            styles = styles * torch.rsqrt(styles.square().mean(-1, keepdim=True) + EPSILON)
            for layer in self.layers:
                styles = layer(styles)
        return styles


class Block(nn.Module):
    """One resolution: one convolution at the first, else two, of which the first doubles the size; then RGB output."""

    def __init__(
        self, in_channels: int, out_channels: int, style_dim: int, first: bool, beside: int = 0
    ) -> None:
        super().__init__()
        together = out_channels + beside
        self.first = StyledConv(in_channels, out_channels, style_dim, upsample=not first, beside=beside)
        self.second = None if first else StyledConv(together, out_channels, style_dim, beside=beside)
        self.to_rgb = ToRGB(together, style_dim)

    def forward(
        self,
        features: Tensor,
        styles: Tensor,
        noisy: bool,
        fuse: Callable[[Tensor], Tensor] | None,
        beside: Tensor | None,
        fuse_second: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Features and colours; of styles (B, L, S) the first two or three are used."""
        features = self.first(features, styles[:, 0], noisy, beside)
        if fuse is not None:
            features = fuse(features)
        if self.second is None:
            return features, self.to_rgb(features, styles[:, 1])
        features = self.second(features, styles[:, 1], noisy, beside)
        if fuse_second is not None:
            features = fuse_second(features)
        return features, self.to_rgb(features, styles[:, 2])


class SynthesisNetwork(nn.Module):
    """Styles to images; `blocks` by the resolution's name, such as `8`.

    channels: by resolution, each twice the one before; in the paper they start at 4 px. learned_start: whether the
    input features of the first block are learned, as in the paper, or passed to each call, for example from a U-Net's
    encoder. beside: number of channels, by resolution, of features passed to each call instead of noise, see
    `StyledConv`; the following layers have that many more input channels. None: noise, as in the paper.
    """

    def __init__(
        self,
        channels: Widths,
        style_dim: int,
        learned_start: bool = True,
        beside: Widths | None = None,
    ) -> None:
        super().__init__()
        sides = sorted(channels)
        first = sides[0]
        self.layers = 2 * len(sides)
        self.beside = dict(beside or {})
        if self.beside and sorted(self.beside) != sides:
            raise ValueError(f"features beside those of {sides} px cannot be of {sorted(self.beside)} px")
        self.const = nn.Parameter(torch.randn(channels[first], first, first)) if learned_start else None
        self.blocks = nn.ModuleDict()
        width = channels[first]
        for side in sides:
            own = self.beside.get(side, 0)
            self.blocks[str(side)] = Block(width, channels[side], style_dim, side == first, own)
            width = channels[side] + own
        self.upsample = Upsample()

    def forward(
        self,
        styles: Tensor,
        noise: Noise = "random",
        fuse: Fuse | None = None,
        start: Tensor | None = None,
        beside: Beside | None = None,
        fuse_second: Fuse | None = None,
    ) -> Tensor:
        """Images (B, 3, H, W) in about [-1, 1], float32, of styles (B, S), or (B, L, S) with one for each layer.

        L is `layers`: the convolutions in their order and then the last colours; the colours of a resolution share
        their style with the next one's first convolution. fuse: called with the resolution and the features
        (B, C, h, w) after the first convolution of each resolution, returns the features to continue with; fuse_second:
        the same after the second one, where there are two. start: the first block's features (B, C, h, w), if they are
        not learned. beside: features (B, beside, h, w) by resolution,
        if the network takes them instead of noise; `noise` is then ignored. Raises ValueError if these do not fit the
        network.
        """
        each = styles[:, None].expand(-1, self.layers, -1) if styles.ndim == 2 else styles
        if each.shape[1] != self.layers:
            raise ValueError(f"the generator wants styles for {self.layers} layers, not {each.shape[1]}")
        features = start if self.const is None else self.const.expand(len(styles), -1, -1, -1)
        if features is None:
            raise ValueError("the generator wants features to start from")
        given = beside or {}
        if given.keys() != self.beside.keys():
            raise ValueError(
                f"the generator wants features beside its own of {sorted(self.beside)} px, not of {sorted(given)} px"
            )
        image: Tensor | None = None
        for number, (side, block) in enumerate(self.blocks.items()):
            own = each[:, max(0, 2 * number - 1) :]
            first, second = (None if one is None else partial(one, int(side)) for one in (fuse, fuse_second))
            features, colours = block(features, own, noise == "random", first, given.get(int(side)), second)
            image = colours if image is None else self.upsample(image) + colours
        assert image is not None  # noqa: S101  there are always two resolutions or more
        return image


class Generator(nn.Module):
    """Mapping and synthesis: config F of the paper, channel multiplier 2; `beside` as in `SynthesisNetwork`.

    Raises ValueError if size_px is no power of two from 8 to 1024 or a width is missing.
    """

    def __init__(
        self,
        size_px: int,
        channels: Widths,
        style_dim: int = 512,
        mapping_layers: int = 8,
        mapping_lr: float = 0.01,
        beside: Widths | None = None,
    ) -> None:
        super().__init__()
        self.size_px, self.style_dim = size_px, style_dim
        self._channels = checked(size_px, channels)
        self.mapping = Mapping(style_dim, mapping_layers, mapping_lr)
        self.synthesis = SynthesisNetwork(self._channels, style_dim, beside=beside)

    @property
    def layers(self) -> int:
        """The number of layers with their own style: 2 log2(size_px) - 2."""
        return self.synthesis.layers

    def without_beside(self) -> "Generator":
        """A newly initialised generator of the same sizes that takes noise."""
        return Generator(self.size_px, self._channels, self.style_dim, len(self.mapping.layers))

    def forward(self, latents: Tensor, noise: Noise = "random", beside: Beside | None = None) -> Tensor:
        """Images (B, 3, H, W) of latents (B, S), or (B, L, S), one for each layer. Otherwise as `SynthesisNetwork`."""
        image: Tensor = self.synthesis(self.mapping(latents), noise, beside=beside)
        return image
