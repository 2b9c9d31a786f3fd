"""RPF's synthesis module (section III.B.2, figure 5): an image of twice the side, with an aligned reference."""

from torch import Tensor, nn

from facerefs.trainers.geometry.sizes import enlarged
from facerefs.trainers.models.rpf.warping import Joined
from facerefs.trainers.networks.blocks import ResidualBlock, convolution


class SynthesisModule(nn.Module):
    """The synthesised image (B, 3, S, S), float32, by residual blocks over image and aligned reference (figure 5).

    Choice: the output of the last convolution, 0 at first, is added to the bicubic image. Eq. 5 has no term outside the
    face, so there the image hardly changes; and an untrained module returns the bicubic image.
    """

    def __init__(self, channels: int, residual_blocks: int) -> None:
        super().__init__()
        self.joined = Joined(channels)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(residual_blocks)))
        self.details = convolution(channels, 3)
        nn.init.zeros_(self.details.weight)

    def forward(self, image: Tensor, aligned: Tensor) -> Tensor:
        details: Tensor = self.details(self.blocks(self.joined(image, aligned)))
        return enlarged(image, aligned.shape[-1]) + details.float()
