"""Validation of restorers: the same pictures and metrics for all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from facerefs.trainers.loop.training_module import Networks
from facerefs.trainers.metrics.psnr_ssim import psnr, quantise_uint8, ssim
from facerefs.trainers.models.common.metrics import Metrics, niqe_scores
from facerefs.trainers.models.common.restorer_input import restorer_input, with_landmarks
from facerefs.trainers.models.model import Restorer, RestorerInput
from facerefs.trainers.stream.batches.device_batch import DeviceBatch


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Pictures and metrics of a restorer; metrics of the degraded face are added as `..._degraded`.

    find_landmarks: degraded faces (B, 3, H, W) -> (B, 68, 2), as at inference time; None uses the clean face's.
    metrics: those beside PSNR and SSIM. An embedder gives identity_truth (cosine to the ground truth: ISC),
    identity_degrees (the same as an angle: Deg.) and identity_reference (IPS).
    """

    model: Restorer
    metrics: Metrics = field(default_factory=Metrics)
    find_landmarks: Callable[[Tensor], Tensor] | None = None

    def pictures(self, networks: Networks, batch: DeviceBatch) -> Mapping[str, Tensor]:
        """Columns of a grid: degraded, the first reference if there is one, the model's own, output, truth."""
        seen = self._seen(batch)
        return {
            "degraded": seen.degraded,
            **({"reference": seen.references[:, 0]} if seen.references.shape[1] else {}),
            **self.model.pictures(networks, seen),
            "output": self.model.restore(networks, seen),
            "truth": batch.target,
        }

    def scores(self, networks: Networks, batch: DeviceBatch) -> Mapping[str, Tensor]:
        """Metrics (B,) by name, of faces rounded to 8 bits as in a file."""
        seen = self._seen(batch)
        restored = self.model.restore(networks, seen)
        return self._figures(restored, batch, "") | self._figures(seen.degraded, batch, "_degraded")

    def _figures(self, made: Tensor, batch: DeviceBatch, ending: str) -> dict[str, Tensor]:
        images = (quantise_uint8(made) / 127.5 - 1).to(batch.target.dtype)
        figures = {"psnr": psnr(images, batch.target), "ssim": ssim(images, batch.target)}
        for net, lpips in self.metrics.lpips.items():
            figures[f"lpips_{net}"] = lpips(images, batch.target)
        if self.metrics.niqe:
            figures["niqe"] = niqe_scores(images)
        if self.metrics.embedder is not None:
            found = self.metrics.embedder(images, batch.landmarks)
            figures["identity_truth"] = _alike(found, batch.embedding)
            figures["identity_degrees"] = figures["identity_truth"].clamp(-1, 1).acos().rad2deg()
            if batch.references.shape[1]:
                figures["identity_reference"] = _alike(found, batch.reference_embeddings[:, 0])
        return {name + ending: figure for name, figure in figures.items()}

    def _seen(self, batch: DeviceBatch) -> RestorerInput:
        seen = restorer_input(batch)
        return (
            seen if self.find_landmarks is None else with_landmarks(seen, self.find_landmarks(seen.degraded))
        )


def _alike(a: Tensor, b: Tensor) -> Tensor:
    """Cosines (B,); NaN where there is no embedding."""
    cosine = cosine_similarity(a.float(), b.float())
    return torch.where(b.any(1), cosine, torch.nan)
