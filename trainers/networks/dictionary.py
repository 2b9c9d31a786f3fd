"""A dictionary of features: codes that k-means re-estimates during training.

Lancucki et al., "Robust training of vector quantized bottleneck models", 2020.
"""

import torch
from torch import Tensor, nn

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.networks.kmeans import kmeans


class Dictionary(nn.Module):
    """Codes (K, D) that learn by gradients, and a reservoir of features from which k-means re-estimates them.

    used: whether the codes are in use; before the first k-means they are noise. The reservoir is a ring buffer, in
    which the newest features replace the oldest (choice).

    It should be a separate network, without a moving average: k-means returns codes in another order, so the mean of a
    code before and after has no meaning.
    """

    used: Tensor  # ()
    reservoir: Tensor  # (R, D)
    noted: Tensor  # (): number of features noted so far

    def __init__(self, codes: int, channels: int, reservoir: int) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.randn(codes, channels))
        self.register_buffer("used", torch.zeros((), dtype=torch.bool))
        self.register_buffer("reservoir", torch.zeros(reservoir, channels))
        self.register_buffer("noted", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def note(self, features: Tensor, places: int) -> None:
        """Add features (B, D, h, w) at `places` random positions, from torch's generator, to the reservoir."""
        vectors = features.permute(0, 2, 3, 1).flatten(0, 2)
        drawn = torch.randint(len(vectors), (places,), device=vectors.device)
        at = (self.noted + torch.arange(places, device=vectors.device)) % len(self.reservoir)
        self.reservoir[at] = vectors[drawn].to(self.reservoir.dtype)
        self.noted += places

    @torch.no_grad()
    def estimate(self, ranks: Distributed) -> None:
        """Re-estimate the codes by k-means of the first rank's reservoir; from then on they are in use.

        An optimiser's moments of the codes then belong to the old codes.
        """
        codes = torch.empty_like(self.codes)
        if ranks.is_main:
            # The other ranks wait for codes even if features are not finite; the loop's NaN guard reports those.
            codes.copy_(kmeans(self.reservoir.nan_to_num(0, 0, 0), len(codes)))
        ranks.from_first_(codes)
        self.codes.copy_(codes)
        self.used.fill_(True)
