"""A dictionary of features: codes that k-means estimates anew while a network learns.

Lancucki et al., "Robust training of vector quantized bottleneck models", 2020.
"""

import torch
from torch import Tensor, nn

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.networks.kmeans import kmeans


class Dictionary(nn.Module):
    """Codes (K, D) that learn by gradients, and a reservoir of features that k-means makes them anew of, now and then.

    used: whether the codes are to be used; until the first k-means they are noise. The reservoir is a ring, in which
    the newest features take the place of the oldest (choice).

    It should be a network of its own, without a moving average: k-means gives codes in another order, and the mean of
    a code before and after lies nowhere.
    """

    used: Tensor  # ()
    reservoir: Tensor  # (R, D)
    noted: Tensor  # (): features so far

    def __init__(self, codes: int, channels: int, reservoir: int) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.randn(codes, channels))
        self.register_buffer("used", torch.zeros((), dtype=torch.bool))
        self.register_buffer("reservoir", torch.zeros(reservoir, channels))
        self.register_buffer("noted", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def note(self, features: Tensor, places: int) -> None:
        """Put features (B, D, h, w) at so many places, drawn from torch's generator, into the reservoir."""
        vectors = features.permute(0, 2, 3, 1).flatten(0, 2)
        drawn = torch.randint(len(vectors), (places,), device=vectors.device)
        at = (self.noted + torch.arange(places, device=vectors.device)) % len(self.reservoir)
        self.reservoir[at] = vectors[drawn].to(self.reservoir.dtype)
        self.noted += places

    @torch.no_grad()
    def estimate(self, ranks: Distributed) -> None:
        """Make the codes anew by k-means of the first rank's reservoir; from now on they are used.

        An optimiser's moments of the codes are of codes that are gone.
        """
        codes = torch.empty_like(self.codes)
        if ranks.is_main:
            # The other ranks wait for codes, whatever the features are; of broken ones the loop's guard tells.
            codes.copy_(kmeans(self.reservoir.nan_to_num(0, 0, 0), len(codes)))
        ranks.from_first_(codes)
        self.codes.copy_(codes)
        self.used.fill_(True)
