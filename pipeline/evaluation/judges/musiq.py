"""MUSIQ by the package pyiqa, an extra whose licence is non-commercial (Ke et al., "MUSIQ", 2021)."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.torch_file import UNREADABLE, read_tensors
from facerefs.stages.quality.torchvision_compat import import_torchvision
from facerefs.trainers.metrics.psnr_ssim import quantise_uint8
from facerefs.trainers.weights.pretrained import CACHE

MUSIQ_FILE = "musiq_koniq_ckpt-e95806b9.pth"
_URL = f"https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/{MUSIQ_FILE}"


def musiq_file(setting: str) -> Path:
    """The file of MUSIQ's weights: a path, or for `cache` the one in pyiqa's cache. Raises MissingWeights."""
    if find_spec("pyiqa") is None:
        raise MissingWeights(
            "the package pyiqa is not installed, whose licence is for non-commercial use only: "
            "`pip install 'facerefs[pyiqa]'`"
        )
    path = (
        Path(torch.hub.get_dir()) / "pyiqa" / MUSIQ_FILE if setting == CACHE else Path(setting).expanduser()
    )
    if not path.is_file():
        raise MissingWeights(
            f"MUSIQ's weights {path} are not there: `curl -fL --create-dirs -o {path} {_URL}`"
        )
    return path


def load_musiq(file: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function from images (N, 3, S, S) in [-1, 1] to scores (N,). Raises MissingWeights."""
    read_tensors(file, "MUSIQ")  # pyiqa itself would also run what a hostile file holds
    import_torchvision()
    try:
        import pyiqa

        with redirect_stdout(io.StringIO()):  # it prints what it loads
            metric = pyiqa.create_metric("musiq", device=device, pretrained_model_path=str(file))
    except ImportError as error:
        raise MissingWeights(f"the package pyiqa cannot be imported: {error}") from None
    except UNREADABLE as error:
        raise MissingWeights(
            f"{file} holds no weights of MUSIQ: {' '.join(str(error).split())[:200]}"
        ) from None

    @torch.no_grad()
    def score(images: Tensor) -> Tensor:
        levels = quantise_uint8(images).float() / 255
        return torch.cat([metric(level[None]).flatten() for level in levels]).double().cpu()

    return score
