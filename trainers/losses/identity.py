"""ReFine's identity loss: the restored face is to have the embedding of the person."""

from torch import Tensor
from torch.nn import functional


def identity_loss(a: Tensor, b: Tensor) -> Tensor:
    """Mean of 1 - cos(a, b) over embeddings (B, D): ReFine, eq. 4. A scalar in float32, 0 to 2.

    Pairs with a vector of zeros, which stands for no embedding, do not count; 0 where none is left.
    """
    known = (a.any(dim=1) & b.any(dim=1)).float()
    cosines = functional.cosine_similarity(a.float(), b.float())
    return ((1 - cosines) * known).sum() / known.sum().clamp_min(1)
