"""FAN as a heat-map network: Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D face alignment
problem?", ICCV 2017, as the package face-alignment has it.
"""

from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.engines.engine import MissingWeights
from trainers.weights.read import UNREADABLE

SIZE_PX = 256
STRIDE = 4
_HOURGLASSES = 4
_SHARPNESS = 3  # the maps, peaks of height 1 on a noisy ground, count by their cube (choice)
_BEND = 100  # of the softplus that keeps them positive, and _FLOOR what it adds (choices): 0 becomes 0.008, whose cube
_FLOOR = 1e-3  # is 5e-7


class Fan(nn.Module):
    """2D-FAN-4 on a whole aligned face (B, 3, 256, 256) in [-1, 1] -> logits (B, 68, 64, 64), of stride 4.

    The aligned face takes the place of FAN's own crop (choice): by its rule (1.026 (w + h) of the box, the centre
    12 % of the height above the box's) the landmarks' box asks for a crop 1.13 times as large, its centre 9 % of the
    side lower. The last hourglass counts. keep_statistics: the batch norms stay with those they were trained with.

    Raises MissingWeights if the package is not there.
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

    def forward(self, images: Tensor) -> Tensor:
        heat: Tensor = self.network((images + 1) / 2)[-1]
        return _SHARPNESS * (functional.softplus(heat.float(), beta=_BEND) + _FLOOR).log()

    def train(self, mode: bool = True) -> "Fan":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and self.keep_statistics:
                module.eval()
        return self


def load_fan(network: Fan, weights: str) -> str:
    """Load weights from a path, torch's `cache`, or leave them `random`; returns a note for the log.

    Raises MissingWeights in one sentence.
    """
    if weights == "random":
        return "FAN starts from random weights"
    path = _cached() if weights == "cache" else Path(weights).expanduser()
    if not path.is_file():
        raise MissingWeights(_how_to_get(path))
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.network.load_state_dict(state)
    except UNREADABLE as error:
        raise MissingWeights(f"{path} holds no weights of FAN ({type(error).__name__})") from None
    return f"FAN starts from {path}"


def _url() -> str:
    from face_alignment.api import models_urls

    return str(models_urls["2DFAN-4"])


def _cached() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(_url()).path).name


def _how_to_get(path: Path) -> str:
    return (
        f"FAN's weights {path} are not there: `curl -L --create-dirs -o {path} {_url()}`, "
        "or use network small, which needs none"
    )
