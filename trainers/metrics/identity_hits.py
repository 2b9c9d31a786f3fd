"""iPrecision and iRecall: the share of faces that lie among the faces of their own person in the other set.

RDFR (its eq. 11 and 12), after Kynkäänniemi et al., "Improved precision and recall metric", 2019.
"""

import torch
from torch import Tensor

_ROWS = 1024  # compared at once


def identity_hits(points: Tensor, people: Tensor, others: Tensor, other_people: Tensor, k: int) -> Tensor:
    """For each point, whether it lies within the reach of another one of the same person: (N,) bool.

    points: (N, D), others: (M, D), in the space of a face embedder; people and other_people: the person of each, as
    whole numbers. The reach of one of the others is the distance to its k-th nearest neighbour among the others, and no
    point is its own neighbour. The mean over outputs among ground truths is iPrecision, that over ground truths among
    outputs iRecall. RDFR leaves open which neighbour decides; here any that is within reach and the same person is a
    hit (choice). Raises ValueError if there are not more than k others.
    """
    if len(others) <= k:
        raise ValueError(f"k = {k} neighbours need more than {k} faces, not {len(others)}")
    points, others = points.double(), others.double()
    reach = torch.cat([_reach(others, first, k) for first in range(0, len(others), _ROWS)])
    return torch.cat(
        [
            (
                (torch.cdist(points[first : first + _ROWS], others, compute_mode=_EXACT) <= reach)
                & (people[first : first + _ROWS, None] == other_people)
            ).any(1)
            for first in range(0, len(points), _ROWS)
        ]
    )


_EXACT = "donot_use_mm_for_euclid_dist"  # a product would round the distance of equal points to more than 0


def _reach(others: Tensor, first: int, k: int) -> Tensor:
    """The distance of some of the others to their k-th nearest neighbour."""
    block = others[first : first + _ROWS]
    distances = torch.cdist(block, others, compute_mode=_EXACT)
    rows = torch.arange(len(block), device=others.device)
    distances[rows, rows + first] = torch.inf
    return distances.kthvalue(k, dim=1).values
