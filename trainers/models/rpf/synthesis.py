"""RPF's synthesis module (section III.B.2, figure 5): an image of twice the side, with an aligned reference."""

from torch import Tensor, nn

from facerefs.trainers.geometry.sizes import enlarged
from facerefs.trainers.models.rpf.warping import Joined
from facerefs.trainers.networks.blocks import ResidualBlock, convolution


class SynthesisModule(nn.Module):
    """The synthesised image (B, 3, S, S), float32, by residual blocks over image and aligned reference (figure 5).

    Choice: the last convolution, 0 at first, adds to the bicubic image. Eq. 5 asks for nothing outside the face, and so
    the image stays there about as it was; and a module that has not learnt yet passes on the bicubic image alone.
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
