"""The metrics of restored faces that want weights or a package, and what is said of those that cannot be computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.identity.embedder import IdentityEmbedder
from facerefs.trainers.losses.lpips import Lpips, Net
from facerefs.trainers.metrics.psnr_ssim import quantise_uint8
from facerefs.trainers.weights.pretrained import CACHE, DOWNLOAD, RANDOM

_NETS: tuple[Net, ...] = ("alex", "vgg")
_NIQE_BLOCK_PX = 96  # NIQE wants two blocks, so twice this side for a square face
_NONE: Mapping[Net, Lpips] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Metrics:
    """The networks of the metrics. notes: what computes a metric, or why it is not computed; for log and checkpoint."""

    embedder: IdentityEmbedder | None = None
    lpips: Mapping[Net, Lpips] = field(default_factory=dict)
    niqe: bool = False
    notes: tuple[str, ...] = ()


def load_metrics(
    size_px: int,
    device: torch.device,
    lpips: str,
    embedder: IdentityEmbedder | None = None,
    loaded: Mapping[Net, Lpips] = _NONE,
) -> Metrics:
    """The metrics of faces of this side.

    lpips: a setting: `cache`, `download` or `random` for AlexNet and VGG16, the path of AlexNet's weights, or empty.
    What is not in the cache is not computed, which a note says. loaded: networks that the losses have loaded already.
    Raises MissingWeights for a path or a download that fails.
    """
    found, notes = dict(loaded), []
    for net in _NETS:
        if net in loaded:
            continue
        made = _lpips(net, lpips)
        if isinstance(made, Lpips) and size_px < made.network.smallest_px:
            made = f"faces of {size_px} px are too small"
        if isinstance(made, Lpips):
            found[net] = made.to(device)
            notes.append(f"metric lpips_{net}: {made.note}")
        else:
            notes.append(f"metric lpips_{net} is not computed: {made}")
    if embedder is None:
        reason = "weights.identity is empty, or the shards hold no embeddings"
        notes.append(f"metrics of identity are not computed: {reason}")
    if missing := _no_niqe(size_px):
        notes.append(f"metric niqe is not computed: {missing}")
    return Metrics(embedder, found, not missing, tuple(notes))


def niqe_scores(images: Tensor) -> Tensor:
    """NIQE (B,), float64 on the CPU, of images (B, 3, H, W) RGB in [-1, 1]; NaN where it is undefined."""
    from facerefs.stages.quality.niqe import niqe

    faces = quantise_uint8(images).permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()
    scores = [niqe(face) for face in faces]
    return torch.tensor([torch.nan if score is None else score for score in scores], dtype=torch.float64)


def _lpips(net: Net, setting: str) -> Lpips | str:
    """The network, or why there is none."""
    if not setting:
        return "weights.lpips is empty"
    if setting not in (CACHE, DOWNLOAD, RANDOM) and net != "alex":
        return f"{setting} is AlexNet's"
    try:
        return Lpips(net, setting)
    except MissingWeights as error:
        if setting != CACHE:
            raise
        return str(error)


def _no_niqe(size_px: int) -> str:
    """Why NIQE cannot be computed; empty if it can."""
    from facerefs.stages.quality.basicsr import BasicsrMissingError, niqe_model_file

    if size_px < 2 * _NIQE_BLOCK_PX:
        return f"it wants faces of {2 * _NIQE_BLOCK_PX} px, not {size_px} px"
    try:
        niqe_model_file()
    except BasicsrMissingError as error:
        return str(error)
    return ""
