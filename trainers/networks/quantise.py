"""Vector quantisation: each position of a feature map is replaced by the nearest code of a codebook.

van den Oord et al., "Neural discrete representation learning", 2017.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name that everybody knows)
from torch import Tensor, nn

from facerefs.trainers.distributed import Distributed

# --- Nearest codes (section 3.1, eq. 2) ---


@dataclass(frozen=True, eq=False)
class Quantised:
    """The result of quantising features (B, C, H, W) with codes (K, C).

    given: the input features. features: the nearest codes, in the dtype of the features, with a straight-through
    gradient to the features. chosen: the indices of these codes, (B, H, W) int64. codes: the same codes (B, C, H, W) in
    their own dtype, with gradients to the codebook and none to the features.
    """

    given: Tensor
    features: Tensor
    chosen: Tensor
    codes: Tensor

    @property
    def to_codes(self) -> Tensor:
        """Mean of (sg(features) - codes)^2 over all elements, float32: moves the codes (eq. 3, second term)."""
        return (self.given.detach().float() - self.codes.float()).square().mean()

    @property
    def to_features(self) -> Tensor:
        """Mean of (features - sg(codes))^2 over all elements, float32: the commitment (eq. 3, third term)."""
        return (self.given.float() - self.codes.detach().float()).square().mean()


def quantise(features: Tensor, codes: Tensor) -> Quantised:
    """Quantise features (B, C, H, W): each position by the nearest of codes (K, C); the first one of equals.

    Distances are in float32, also under autocast; a GPU rounds their factors to TF32 only if that is enabled.
    """
    chosen = nearest(features.permute(0, 2, 3, 1), codes)
    found = F.embedding(chosen, codes).permute(0, 3, 1, 2)
    through = found.detach().to(features.dtype) + (features - features.detach())
    return Quantised(given=features, features=through, chosen=chosen, codes=found)


@torch.no_grad()
def nearest(vectors: Tensor, codes: Tensor) -> Tensor:
    """The index of the nearest of codes (K, C) to each of vectors (..., C), int64; the first one of equals."""
    with torch.autocast(vectors.device.type, enabled=False):
        flat, codes = vectors.reshape(-1, vectors.shape[-1]).float(), codes.float()
        # |v - c|^2 without |v|^2, which all codes of a vector share.
        distances = torch.addmm(codes.square().sum(1), flat, codes.t(), alpha=-2)
        return distances.argmin(1).view(vectors.shape[:-1])


def code_figures(chosen: Tensor, wanted: Tensor, count: int) -> dict[str, Tensor]:
    """Metrics (B,) of the codes of degraded faces, (B, H, W) int64 of `count`; `wanted` are those of the clean faces.

    codes_used: the number of different codes of a face. codes_agreement: the share of places with the same code as the
    clean face.
    """
    chosen, wanted = chosen.flatten(1), wanted.flatten(1)
    used = torch.zeros(len(chosen), count, device=chosen.device).scatter_(1, chosen, 1.0)
    return {"codes_used": used.sum(1), "codes_agreement": (chosen == wanted).float().mean(1)}


# --- Codes that follow features (appendix A.1) ---


class Codebook(nn.Module):
    """Codes (K, C) that are moving averages of the features nearest to them; they have no gradients.

    van den Oord et al., 2017, appendix A.1, with the Laplace smoothing of Razavi et al., "Generating diverse
    high-fidelity images with VQ-VAE-2", 2019. Training calls `observe` with features any number of times per step, and
    then `update` once. Choices: the first observed features become the first codes; a code that is used less than
    `least` times as often as the average code is replaced by a feature of the last batch, and then gets the average
    count.

    The moving counts and sums are per step and rank. Observations since the last update are not kept in checkpoints,
    because those are written after an update.
    """

    codes: Tensor  # (K, C)
    counts: Tensor  # (K,): moving average of the number of features nearest to each code
    sums: Tensor  # (K, C): moving average of the sums of these features
    seen_counts: Tensor  # (K,): counts since the last update
    seen_sums: Tensor  # (K, C): sums since the last update
    spare: Tensor  # (K, C): features that may replace unused codes

    def __init__(
        self, count: int, channels: int, decay: float = 0.99, least: float = 0.1, smoothing: float = 1e-5
    ) -> None:
        super().__init__()
        self.decay, self.least, self.smoothing = decay, least, smoothing
        self.register_buffer("codes", torch.randn(count, channels))
        self.register_buffer("counts", torch.zeros(count))
        self.register_buffer("sums", torch.zeros(count, channels))
        self.register_buffer("seen_counts", torch.zeros(count), persistent=False)
        self.register_buffer("seen_sums", torch.zeros(count, channels), persistent=False)
        self.register_buffer("spare", torch.zeros(count, channels), persistent=False)

    def forward(self, features: Tensor) -> Quantised:
        """Features (B, C, H, W), quantised."""
        return quantise(features, self.codes)

    @torch.no_grad()
    def observe(self, features: Tensor) -> None:
        """Record features (B, C, H, W) for the next update; candidates for codes are drawn from torch's generator."""
        with torch.autocast(features.device.type, enabled=False):
            vectors = features.permute(0, 2, 3, 1).flatten(0, 2).float()
            # A product instead of a scattered sum, whose order on a GPU is not deterministic.
            numbers = torch.arange(len(self.codes), device=vectors.device)
            chose = (nearest(vectors, self.codes)[:, None] == numbers).to(vectors.dtype)
            self.seen_counts += chose.sum(0)
            self.seen_sums += chose.t() @ vectors
            order = torch.randperm(max(len(vectors), len(self.codes)), device=vectors.device)
            self.spare.copy_(vectors[order[: len(self.codes)] % len(vectors)])

    @torch.no_grad()
    def update(self, ranks: Distributed) -> None:
        """Update the codes from the observed features; before the first update there must be some.

        Ranks with equal codes have equal codes afterwards: counts and sums are averaged over ranks, and rarely used
        codes are replaced by features of the first rank.
        """
        seen = torch.cat([self.seen_counts[:, None], self.seen_sums], 1)
        ranks.mean_(seen)
        ranks.from_first_(self.spare)
        began = self.counts.any()
        self.counts.lerp_(seen[:, 0], 1 - self.decay)
        self.sums.lerp_(seen[:, 1:], 1 - self.decay)
        average = self.counts.mean()
        unused = (self.counts < self.least * average) | ~began
        self.counts.copy_(torch.where(unused, average, self.counts))
        self.sums.copy_(torch.where(unused[:, None], average * self.spare, self.sums))
        self.codes.copy_(self.sums / self._smoothed_counts()[:, None])
        self.seen_counts.zero_()
        self.seen_sums.zero_()

    def _smoothed_counts(self) -> Tensor:
        total = self.counts.sum()
        return (self.counts + self.smoothing) / (total + len(self.counts) * self.smoothing) * total

    @property
    def perplexity(self) -> Tensor:
        """The perplexity of the use of codes: a scalar from 1 (one code only) to K (all equally often).

        NaN before the first update.
        """
        entropy: Tensor = torch.special.entr(self.counts / self.counts.sum()).sum()
        return entropy.exp()
