"""StyleGAN2's discriminator: residual blocks with blurred downsampling, and the minibatch standard deviation."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from facerefs.trainers.distributed import across_ranks
from facerefs.trainers.networks.stylegan2.layers import EPSILON, DownConv, EqualConv2d, EqualLinear
from facerefs.trainers.networks.stylegan2.resample import Downsample
from facerefs.trainers.networks.stylegan2.widths import Widths, checked

HALF_POWER = 1 / math.sqrt(2)  # the sum of two branches has the variance of one


class Block(nn.Module):
    """A residual block, (B, in, H, W) to (B, out, H / 2, W / 2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = EqualConv2d(in_channels, in_channels, 3, activate=True)
        self.second = DownConv(in_channels, out_channels, gain=HALF_POWER)
        self.halve = Downsample()
        self.skip = EqualConv2d(in_channels, out_channels, 1, bias=False, gain=HALF_POWER)

    def forward(self, features: Tensor) -> Tensor:
        """The sum of both branches."""
        halved: Tensor = self.second(self.first(features))
        skipped: Tensor = self.skip(self.halve(features))
        return halved + skipped


class Discriminator(nn.Module):
    """Images (B, 3, size_px, size_px) in [-1, 1] to logits (B, 1): the higher, the more real. Its end is in float32.

    stddev_group: number of images over which the standard deviation is taken (4 in the paper); 1 turns it off. Its
    channel is then constant, but remains, so that weights fit. In training mode the images are those of all ranks.
    Raises ValueError if size_px is no power of two from 8 to 1024 or a width is missing.
    """

    def __init__(self, size_px: int, channels: Widths, stddev_group: int = 4) -> None:
        super().__init__()
        channels = checked(size_px, channels)
        deepest = channels[4]
        self.size_px, self.stddev_group = size_px, stddev_group
        self.from_rgb = EqualConv2d(3, channels[size_px], 1, activate=True)
        self.blocks = nn.ModuleDict(
            {
                str(side): Block(channels[side], channels[side // 2])
                for side in sorted(channels, reverse=True)[:-1]
            }
        )
        self.last = EqualConv2d(deepest + 1, deepest, 3, activate=True)
        self.hidden = EqualLinear(deepest * 16, deepest, activate=True)
        self.logit = EqualLinear(deepest, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 1), float32."""
        features = self.from_rgb(images)
        for block in self.blocks.values():
            features = block(features)
        with torch.autocast(images.device.type, enabled=False):
            features = features.float()
            features = torch.cat([features, self._deviation(features)], 1)
            logits: Tensor = self.logit(self.hidden(self.last(features).flatten(1)))
        return logits

    def _deviation(self, features: Tensor) -> Tensor:
        work = partial(minibatch_deviation, group=self.stddev_group)
        # A rank alone may validate, and it may have one image only: its standard deviation is 0 for any image.
        return across_ranks(work, features) if self.training and self.stddev_group > 1 else work(features)


def freeze_first(discriminator: Discriminator, layers: int) -> None:
    """Freeze the first `layers` convolutions: FreezeD (Mo et al., "Freeze the discriminator", 2020).

    They are counted from the input on: from_rgb, and two of each block. The 1 x 1 convolution of a block's skip is
    frozen with the block's second (choice: it is not counted). Raises ValueError if there are fewer.
    """
    convs: list[list[nn.Module]] = [[discriminator.from_rgb]]
    for block in discriminator.blocks.values():
        assert isinstance(block, Block)  # noqa: S101
        convs += [[block.first], [block.second, block.skip]]
    if not 0 <= layers <= len(convs):
        raise ValueError(
            f"{layers} layers cannot be frozen: the discriminator has {len(convs)} convolutions in its blocks, so "
            f"freeze {len(convs)} or fewer"
        )
    for module in (module for conv in convs[:layers] for module in conv):
        module.requires_grad_(False)


def minibatch_deviation(features: Tensor, group: int) -> Tensor:
    """The minibatch standard deviation (B, 1, H, W): the mean of the standard deviations within each group.

    Karras et al., "Progressive growing of GANs", 2018, section 3. Image i is in group i mod (B / group), as in the
    authors' code. If `group` does not divide B, the largest smaller number that does is used (choice).
    """
    batch, _, height, width = features.shape
    size = next(number for number in range(min(group, batch), 0, -1) if batch % number == 0)
    groups = features.view(size, batch // size, *features.shape[1:])
    deviation = torch.sqrt(groups.var(0, unbiased=False) + EPSILON).mean((1, 2, 3))
    return deviation.repeat(size)[:, None, None, None].expand(-1, 1, height, width)
