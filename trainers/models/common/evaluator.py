"""Validation of restorers: the same pictures and metrics for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from facerefs.trainers.identity.embedder import IdentityEmbedder
from facerefs.trainers.loop.training_module import Networks
from facerefs.trainers.metrics.nme import nme
from facerefs.trainers.metrics.psnr_ssim import psnr, quantise_uint8, ssim
from facerefs.trainers.models.common.metrics import Metrics, niqe_scores
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.model import Restorer, WarpingRestorer
from facerefs.trainers.stream.batches.device_batch import DeviceBatch


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Pictures and metrics of a restorer; metrics of the degraded face are added as `..._degraded`.

    A restorer that warps also gets the error of the landmarks that it saw, as `points_nme/SOURCE`.
    metrics: those beside PSNR and SSIM. An embedder gives identity_truth (cosine to the ground truth: ISC),
    identity_degrees (the same as an angle: Deg.) and identity_reference (IPS).
    stored: name of the embedder that made the embeddings of the batches. If the metrics have another one, it embeds the
        ground truths and references itself.
    """

    model: Restorer
    metrics: Metrics = field(default_factory=Metrics)
    stored: str = ""

    def pictures(self, networks: Networks, batch: DeviceBatch) -> Mapping[str, Tensor]:
        """Columns of a grid: degraded, the first reference if there is one, the model's own, output, truth."""
        seen = restorer_input(batch)
        return {
            "degraded": seen.degraded,
            **({"reference": seen.references[:, 0]} if seen.references.shape[1] else {}),
            **self.model.pictures(networks, seen),
            "output": self.model.restore(networks, seen),
            "truth": batch.target,
        }

    def scores(self, networks: Networks, batch: DeviceBatch) -> Mapping[str, Tensor]:
        """Metrics (B,) by name, of faces rounded to 8 bits as in a file."""
        seen = restorer_input(batch)
        restored = self.model.restore(networks, seen)
        figures = self._figures(restored, batch, "") | self._figures(seen.degraded, batch, "_degraded")
        if isinstance(self.model, WarpingRestorer):
            figures[f"points_nme/{batch.points}"] = nme(seen.landmarks, batch.landmarks)
        return figures

    def _figures(self, made: Tensor, batch: DeviceBatch, ending: str) -> dict[str, Tensor]:
        images = (quantise_uint8(made) / 127.5 - 1).to(batch.target.dtype)
        figures = {"psnr": psnr(images, batch.target), "ssim": ssim(images, batch.target)}
        for net, lpips in self.metrics.lpips.items():
            figures[f"lpips_{net}"] = lpips(images, batch.target)
        if self.metrics.niqe:
            figures["niqe"] = niqe_scores(images)
        if (embedder := self.metrics.embedder) is not None:
            found = embedder(images, batch.landmarks)
            figures["identity_truth"] = _alike(found, self._truth(embedder, batch))
            figures["identity_degrees"] = figures["identity_truth"].clamp(-1, 1).acos().rad2deg()
            if batch.references.shape[1]:
                figures["identity_reference"] = _alike(found, self._reference(embedder, batch))
        return {name + ending: figure for name, figure in figures.items()}

    def _truth(self, embedder: IdentityEmbedder, batch: DeviceBatch) -> Tensor:
        if embedder.name == self.stored:
            return batch.embedding
        embedded: Tensor = embedder(batch.target, batch.landmarks)
        return embedded

    def _reference(self, embedder: IdentityEmbedder, batch: DeviceBatch) -> Tensor:
        """The embeddings of the first references (B, D); 0 where there is none."""
        if embedder.name == self.stored:
            return batch.reference_embeddings[:, 0]
        found = embedder(batch.references[:, 0], batch.reference_landmarks[:, 0])
        return torch.where(batch.reference_count[:, None] > 0, found, 0.0)


def _alike(a: Tensor, b: Tensor) -> Tensor:
    """Cosines (B,); NaN where there is no embedding."""
    cosine = cosine_similarity(a.float(), b.float())
    return torch.where(b.any(1), cosine, torch.nan)
