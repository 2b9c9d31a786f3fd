"""The landmark engine for production: FAN, by the package face-alignment, with weights that are on this machine.

`face_alignment.FaceAlignment` downloads missing weights, so its network and its crop are used directly, with the boxes
of our own detector. The points keep their fractions of a pixel.
"""

from pathlib import Path
from pickle import UnpicklingError
from typing import Literal
from urllib.parse import urlparse

import numpy as np
import numpy.typing as npt
import torch
from face_alignment.api import models_urls
from face_alignment.models import FAN
from face_alignment.utils import crop, flip

from facerefs.schemas.arrays import Float32s, UInt8Image
from facerefs.stages.engines.engine import MissingWeights

_URL = models_urls["2DFAN-4"]
_HOURGLASSES = 4
_REFERENCE_PX = 195.0  # width plus height of a box at scale 1, as face-alignment's detectors have it
_CROP_PX_PER_SCALE = 200.0
_CENTRE_ABOVE = 0.12  # of the box's height


class Fan:
    """The 68 points of iBUG 300-W by 2D-FAN-4: Bulat and Tzimiropoulos, "How far are we ...", ICCV 2017."""

    name = "fan:2dfan4"

    def __init__(self, weights: str | None, device: Literal["cpu", "cuda"]) -> None:
        path = _weights(weights)
        self._network = FAN(_HOURGLASSES)
        try:
            self._network.load_state_dict(torch.load(path, map_location=device, weights_only=True))
        except (UnpicklingError, RuntimeError, EOFError, TypeError) as error:
            raise MissingWeights(f"{path} holds no weights of FAN ({type(error).__name__})") from None
        self._network.to(device).eval()
        self._device = device

    @torch.no_grad()
    def landmarks(self, image: UInt8Image, box: Float32s, five: Float32s | None = None) -> Float32s:
        """The landmarks of the face in `box`, from the mean heatmaps of the crop and its mirror image."""
        left, top, right, bottom = (
            np.asarray(box, dtype=np.float64) + 0.5
        )  # FAN counts from the pixel's corner
        centre = np.array([(left + right) / 2, (top + bottom) / 2 - _CENTRE_ABOVE * (bottom - top)])
        scale = (right - left + bottom - top) / _REFERENCE_PX
        face = np.ascontiguousarray(crop(image, centre, scale).transpose(2, 0, 1)[None])
        pixels = torch.from_numpy(face).to(self._device, torch.float32) / 255
        heat = self._heat(pixels) + flip(self._heat(flip(pixels)), is_label=True)
        share = _peaks(heat[0].cpu().numpy())
        points: Float32s = (centre + (share - 0.5) * (scale * _CROP_PX_PER_SCALE) - 0.5).astype(np.float32)
        return points

    def _heat(self, pixels: torch.Tensor) -> torch.Tensor:
        heat = self._network(pixels)
        last: torch.Tensor = heat[-1] if isinstance(heat, list) else heat
        return last


def _peaks(heat: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The peaks (68, 2) of heatmaps (68, S, S), moved a quarter pixel to the higher neighbour, as shares 0 to 1."""
    points, side, _ = heat.shape
    rows, columns = np.divmod(heat.reshape(points, -1).argmax(axis=1), side)
    padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)))
    each = np.arange(points)
    across = padded[each, rows + 1, columns + 2] - padded[each, rows + 1, columns]
    down = padded[each, rows + 2, columns + 1] - padded[each, rows, columns + 1]
    inside = (columns > 0) & (columns < side - 1) & (rows > 0) & (rows < side - 1)
    quarter = 0.25 * np.sign(np.stack([across, down], axis=1)) * inside[:, None]
    shares: npt.NDArray[np.float64] = (np.stack([columns, rows], axis=1) + 0.5 + quarter) / side
    return shares


def _weights(configured: str | None) -> Path:
    file = Path(urlparse(_URL).path).name
    path = Path(configured).expanduser() if configured else Path(torch.hub.get_dir()) / "checkpoints" / file
    if path.is_file():
        return path
    raise MissingWeights(f"FAN's weights {path} are not there: `curl -L --create-dirs -o {path} {_URL}`")
