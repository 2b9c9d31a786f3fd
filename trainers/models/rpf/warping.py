"""RPF's warping module (section III.B.1, figure 4): the motion field that aligns a reference with an image."""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from facerefs.trainers.networks.blocks import DownBlock, ShuffleUp, UpBlock, convolution
from facerefs.trainers.networks.exact import in_float32

_SMALLEST_PX = 8


class Joined(nn.Module):
    """Joint features of an image, enlarged by 2, and a reference: (B, 3, S / 2, S / 2), (B, 3, S, S) -> (B, C, S, S).

    The separate convolution for the reference is from figure 5. Choices: it is used for figure 4 too, and one more
    convolution reduces both to C channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.image = ShuffleUp(3, channels)
        self.reference = convolution(3, channels)
        self.both = convolution(2 * channels, channels)

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        both = torch.cat([self.image(image), relu(self.reference(reference))], 1)
        return relu(self.both(both))


class Warping(nn.Module):
    """The motion field u (B, 2, S, S) in pixels, float32, by a U-Net down to 8 x 8 (figure 4).

    If S is 8 or less, there is no down-sampling. Choices: features of the encoder are concatenated to those of the
    decoder, as in U-Net; the last convolution is 0 at first, so that training starts with no motion.
    """

    def __init__(self, side_px: int, channels: int) -> None:
        super().__init__()
        levels = max(side_px // _SMALLEST_PX, 1).bit_length() - 1
        self.joined = Joined(channels)
        self.down = nn.ModuleList(DownBlock(channels, channels) for _ in range(levels))
        self.up = nn.ModuleList(UpBlock(channels * min(1 + level, 2), channels) for level in range(levels))
        self.flow = convolution(channels * min(1 + levels, 2), 2)
        nn.init.zeros_(self.flow.weight)

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        x = self.joined(image, reference)
        skipped = []
        for down in self.down:
            skipped.append(x)
            x = down(x)
        for up in self.up:
            x = torch.cat([up(x), skipped.pop()], 1)
        return in_float32(self.flow, x)
