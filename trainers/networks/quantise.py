"""Vector quantisation: each place of a feature map takes the nearest code of a codebook.

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
    """What became of features (B, C, H, W) with codes (K, C).

    given: the features as they came in. features: the nearest codes, in the dtype of the features, to which gradients
    pass straight through. chosen: which codes these are, (B, H, W) int64. codes: the same codes (B, C, H, W) in their
    own dtype, which have gradients for the codebook and none for the features.
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
    """Each place of features (B, C, H, W) by the nearest of codes (K, C); the first one of equals.

    Distances are of float32, whatever autocast says; a GPU rounds their factors to TF32 only if that was asked for.
    """
    chosen = nearest(features.permute(0, 2, 3, 1), codes)
    found = F.embedding(chosen, codes).permute(0, 3, 1, 2)
    through = found.detach().to(features.dtype) + (features - features.detach())
    return Quantised(given=features, features=through, chosen=chosen, codes=found)


@torch.no_grad()
def nearest(vectors: Tensor, codes: Tensor) -> Tensor:
    """Which of codes (K, C) is nearest to each of vectors (..., C), int64; the first one of equals."""
    with torch.autocast(vectors.device.type, enabled=False):
        flat, codes = vectors.reshape(-1, vectors.shape[-1]).float(), codes.float()
        # |v - c|^2 without |v|^2, which all codes of a vector share.
        distances = torch.addmm(codes.square().sum(1), flat, codes.t(), alpha=-2)
        return distances.argmin(1).view(vectors.shape[:-1])


# --- Codes that follow features (appendix A.1) ---


class Codebook(nn.Module):
    """Codes (K, C) that are moving averages of the features nearest to them; they have no gradients.

    van den Oord et al., 2017, appendix A.1, with the Laplace smoothing of Razavi et al., "Generating diverse
    high-fidelity images with VQ-VAE-2", 2019. Training shows it features by `observe`, as often as it wants, and then
    moves it once a step by `update`. Choices: the first features that it is shown are the first codes; a code that
    comes to be used less than `least` times as often as a code is on average is laid onto a feature of the last batch
    and counts as an average one from there.

    The moving counts and sums are per step and rank. What was observed since the last update is not kept in
    checkpoints, since those are written after it.
    """

    codes: Tensor  # (K, C)
    counts: Tensor  # (K,): how many features chose each
    sums: Tensor  # (K, C): of these features
    seen_counts: Tensor  # (K,): since the last update
    seen_sums: Tensor  # (K, C)
    spare: Tensor  # (K, C): features that unused codes may be laid onto

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
        """Features (B, C, H, W) by codes."""
        return quantise(features, self.codes)

    @torch.no_grad()
    def observe(self, features: Tensor) -> None:
        """Note features (B, C, H, W) for the next update; which may become codes is drawn from torch's generator."""
        with torch.autocast(features.device.type, enabled=False):
            vectors = features.permute(0, 2, 3, 1).flatten(0, 2).float()
            # A product instead of a scattered sum, whose order would be another each time on a GPU.
            numbers = torch.arange(len(self.codes), device=vectors.device)
            chose = (nearest(vectors, self.codes)[:, None] == numbers).to(vectors.dtype)
            self.seen_counts += chose.sum(0)
            self.seen_sums += chose.t() @ vectors
            order = torch.randperm(max(len(vectors), len(self.codes)), device=vectors.device)
            self.spare.copy_(vectors[order[: len(self.codes)] % len(vectors)])

    @torch.no_grad()
    def update(self, ranks: Distributed) -> None:
        """Move the codes by what was observed, which must be something before the first update.

        Ranks that hold the same codes hold the same ones afterwards: counts and sums are averaged over them, and codes
        that are hardly used take features of the first rank.
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
        """How many codes, used equally often, would be as various as these are in use: a scalar from 1 to K.

        NaN before the first update.
        """
        entropy: Tensor = torch.special.entr(self.counts / self.counts.sum()).sum()
        return entropy.exp()
