"""Weights of FAN: from a file, from torch's cache, or random."""

from pathlib import Path
from urllib.parse import urlparse

import torch

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.torch_file import UNREADABLE
from facerefs.trainers.networks.fan import FanNetwork


def load_fan(network: FanNetwork, weights: str) -> str:
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
