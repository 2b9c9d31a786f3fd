"""FAN as a heat-map network: Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D face alignment
problem?", ICCV 2017, as implemented in the package face-alignment.
"""

from torch import Tensor, nn
from torch.nn import functional

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.networks.exact import in_float32

POINTS = 68
SIZE_PX = 256
STRIDE = 4
_HOURGLASSES = 4
_SHARPNESS = 3  # exponent: the maps, peaks of height 1 on a noisy background, are cubed (choice)
_BEND = 100  # of the softplus that keeps them positive; _FLOOR is added to it (choices): 0 becomes 0.008, whose cube
_FLOOR = 1e-3  # is 5e-7


class _ExactConv2d(nn.Conv2d):
    """A convolution in float32, also under autocast: its maps are read as places."""

    def forward(self, features: Tensor) -> Tensor:
        return in_float32(super().forward, features)


class FanNetwork(nn.Module):
    """2D-FAN-4 on a whole aligned face (B, 3, 256, 256) in [-1, 1] -> logits (B, 68, 64, 64), of stride 4.

    The aligned face replaces FAN's own crop (choice): FAN's rule (side 1.026 (w + h) of the box, the centre 12 % of the
    height above the box's), applied to the landmarks' box, gives a crop 1.13 times as large, its centre 9 % of the
    side lower. The output of the last hourglass is used. keep_statistics: the batch norms keep their trained
    statistics.

    Raises MissingWeights if the package is not installed.
    """

    def __init__(self, keep_statistics: bool) -> None:
        super().__init__()
        try:
            from face_alignment.models import FAN
        except ImportError as error:
            raise MissingWeights(
                f"network fan wants the package face-alignment ({error}): `pip install face-alignment`"
            ) from None
        self.stride = STRIDE
        self.keep_statistics = keep_statistics
        self.network: nn.Module = FAN(_HOURGLASSES)
        last = f"l{_HOURGLASSES - 1}"  # the convolution that makes the maps
        features = getattr(self.network, last).in_channels
        setattr(self.network, last, _ExactConv2d(features, POINTS, 1))

    def forward(self, images: Tensor) -> Tensor:
        heat: Tensor = self.network((images + 1) / 2)[-1]
        return _SHARPNESS * (functional.softplus(heat.float(), beta=_BEND) + _FLOOR).log()

    def train(self, mode: bool = True) -> "FanNetwork":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and self.keep_statistics:
                module.eval()
        return self
