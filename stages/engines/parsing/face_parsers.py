"""The engines that find the facial pixels of an aligned face: BiSeNet, and the hull of its landmarks."""

from pathlib import Path

import numpy as np
import torch

from facerefs.schemas.arrays import Float32s, UInt8Image
from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.parsing.hull import face_hull
from facerefs.stages.engines.parsing.parser import FILE, URL, read_parser
from facerefs.stages.engines.session import Device
from facerefs.stages.engines.weights import engine_name

_FACE = 255
_LEAST_SHARE = 0.25  # choice: a parse that holds less of the landmarks' hull shows no face there


class Hull:
    """The hull of the landmarks and the forehead, which stands in for face parsing."""

    name = "hull"

    def mask(self, face: UInt8Image, landmarks: Float32s) -> UInt8Image:
        """The hull, whatever the pixels are; empty if the landmarks lie outside of them."""
        return _hull(face, landmarks, forehead=True).astype(np.uint8) * _FACE


class Bisenet:
    """A face parser by BiSeNet: Yu et al., ECCV 2018; its classes as RPF has them (section III.A)."""

    def __init__(self, weights: str | None, device: Device) -> None:
        self._parser = read_parser(_weights(weights)).to(device)
        self._device = device
        self.name = engine_name("bisenet", weights)

    @torch.no_grad()
    def mask(self, face: UInt8Image, landmarks: Float32s) -> UInt8Image | None:
        """The pixels of facial classes; None if they leave out three quarters of the landmarks' hull."""
        pixels = torch.from_numpy(face.copy()).to(self._device).permute(2, 0, 1)[None].float() / 127.5 - 1
        facial = self._parser(pixels)[0, 0].bool().cpu().numpy()
        inner = _hull(face, landmarks, forehead=False)
        if (facial & inner).sum() < _LEAST_SHARE * inner.sum():
            return None
        mask: UInt8Image = facial.astype(np.uint8) * _FACE
        return mask


def _hull(
    face: UInt8Image, landmarks: Float32s, forehead: bool
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    height, width = face.shape[:2]
    points = torch.from_numpy(np.asarray(landmarks, np.float32).copy())[None]
    made = face_hull(points, height, width) if forehead else face_hull(points, height, width, forehead=0)
    inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = made[0, 0].bool().numpy()
    return inside


def _weights(configured: str | None) -> Path:
    """The file of weights: as configured, else the published one in torch's cache. Raises MissingWeights."""
    path = Path(configured).expanduser() if configured else Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if path.is_file():
        return path
    raise MissingWeights(
        f"BiSeNet's weights {path} are not there: `curl -fL --create-dirs -o {path} {URL}`, or set "
        "analyse.parser=hull for the hull of the landmarks"
    )
