"""k-means by FAISS, to estimate codes from features."""

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

_ENOUGH = 2**31 - 1


def check_faiss() -> None:
    """Raise ValueError in one sentence if FAISS is not installed."""
    if find_spec("faiss") is None:
        raise ValueError("k-means is FAISS's, which is not installed: `pip install faiss-cpu`")


def kmeans(vectors: Tensor, count: int, iterations: int = 25) -> Tensor:
    """The centres (count, D), float32, of vectors (N, D), on the same device; N is at least `count`.

    The seed comes from torch's generator of the CPU. The same vectors, seed and number of threads give the same
    centres. It runs on the CPU, and waits for the vectors' device. Raises ValueError if FAISS is not installed, if
    there are fewer vectors than centres, or if they are not all finite.
    """
    check_faiss()
    if len(vectors) < count:
        raise ValueError(f"{len(vectors)} vectors have no {count} centres")
    if not torch.isfinite(vectors).all():
        raise ValueError("vectors that are no finite numbers have no centres")
    import faiss

    seed = int(torch.randint(2**31 - 1, ()))
    # No warning about few vectors per centre, and no subsampling of many: all of them are used.
    found: Any = faiss.Kmeans(
        vectors.shape[1],
        count,
        niter=iterations,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=_ENOUGH // count,
    )
    found.train(vectors.detach().float().cpu().contiguous().numpy())
    return torch.from_numpy(found.centroids.copy()).to(vectors.device)
