"""An encoder of images into features at each resolution, with the downsampling of StyleGAN2's discriminator."""

from torch import Tensor, nn

from facerefs.trainers.networks.stylegan2.layers import DownConv, EqualConv2d
from facerefs.trainers.networks.stylegan2.widths import Widths


class ResidualConvolutions(nn.Module):
    """x + conv(conv(x)), 3 x 3, of the same channels and size; the second one is 0 at first, so it begins as x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = EqualConv2d(channels, channels, 3, activate=True)
        self.second = EqualConv2d(channels, channels, 3)
        nn.init.zeros_(self.second.weight)

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.second(self.first(features))
        return features + changed


class Encoder(nn.Module):
    """Images (B, in_channels, S, S) to features (B, channels[side], side, side) by side, from S down to the smallest.

    channels: by side, for S and its halves down to the smallest. A 1 x 1 convolution reads the colours; blurred 3 x 3
    convolutions of stride 2 follow. residual_blocks: so many after each of them.
    """

    def __init__(self, channels: Widths, in_channels: int = 3, residual_blocks: int = 0) -> None:
        super().__init__()
        sides = sorted(channels, reverse=True)
        self.from_rgb = EqualConv2d(in_channels, channels[sides[0]], 1, activate=True)
        self.down = nn.ModuleDict(
            {str(side): DownConv(channels[2 * side], channels[side]) for side in sides[1:]}
        )
        self.residual = nn.ModuleDict(
            {
                str(side): nn.Sequential(
                    *(ResidualConvolutions(channels[side]) for _ in range(residual_blocks))
                )
                for side in (sides[1:] if residual_blocks else [])
            }
        )

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Features by side, the largest first."""
        x: Tensor = self.from_rgb(images)
        features = {x.shape[-1]: x}
        for side, down in self.down.items():
            x = down(x)
            if side in self.residual:
                x = self.residual[side](x)
            features[int(side)] = x
        return features
