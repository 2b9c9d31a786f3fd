"""Pictures of the positions where kernels extract textures from a reference and where they distribute them."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from facerefs.stages.degrade.operations.constant import constant
from facerefs.trainers.networks.attention import carried

# Red, green, blue, yellow: one for each kernel that is shown.
_COLOURS = ((1.0, 0.15, 0.1), (0.1, 0.9, 0.2), (0.2, 0.4, 1.0), (1.0, 0.9, 0.1))
_GRAY = (0.299, 0.587, 0.114)
_COVER = 0.6  # opacity of the strongest colour over the face


def attention_pictures(
    reference: Tensor, restored: Tensor, extraction: Tensor, distribution: Tensor
) -> Mapping[str, Tensor]:
    """Pictures (B, 3, H, W) in [-1, 1] by name, from images of this shape and matrices (B, k, side * side).

    carried: the reference moved to the face by the matrices (eq. 11), at the matrices' side, enlarged.
    taken: on the reference in gray, where a few kernels extract textures, each in its own colour.
    laid: on the restored face in gray, where the same kernels distribute them, in the same colours.

    The kernels with the most different distributions are shown. Each position has the colour of its strongest kernel;
    the strength of a kernel is its weight there divided by its largest weight.
    """
    side, size = round(extraction.shape[-1] ** 0.5), reference.shape[-2:]
    small = interpolate(reference.float(), (side, side), mode="bilinear", align_corners=False)
    brought = carried(small, extraction, distribution)
    shown = _unlike(distribution, len(_COLOURS))
    taken, laid = (
        torch.gather(matrix, 1, shown[..., None].expand(-1, -1, side**2)).view(*shown.shape, side, side)
        for matrix in (extraction, distribution)
    )
    return {
        "carried": interpolate(brought, size, mode="bilinear", align_corners=False),
        "taken": _coloured(reference, taken),
        "laid": _coloured(restored, laid),
    }


def _unlike(maps: Tensor, count: int) -> Tensor:
    """Indices (B, n) of the maps (B, k, N) that vary most and are least similar; the one that varies most is first."""
    centred = maps - maps.mean(2, keepdim=True)
    spread, directions = torch.linalg.vector_norm(centred, dim=2), normalize(centred, dim=2)
    alike = torch.zeros_like(spread)
    rows = torch.arange(len(maps), device=maps.device)
    chosen: list[Tensor] = []
    for _ in range(min(count, maps.shape[1])):
        best = (spread * (1 - alike)).argmax(1)
        chosen.append(best)
        cosines = torch.einsum("bkn,bn->bk", directions, directions[rows, best])
        # 2 is more than any cosine, so a chosen map is not chosen again before all others.
        alike = torch.maximum(alike, cosines).scatter(1, best[:, None], 2.0)
    return torch.stack(chosen, 1)


def _coloured(images: Tensor, maps: Tensor) -> Tensor:
    """Images (B, 3, H, W) in gray, overlaid with maps (B, n, h, w), each in its colour."""
    heat = interpolate(maps, images.shape[-2:], mode="bilinear", align_corners=False)
    largest = heat.amax((2, 3), keepdim=True)
    # The largest is 0 for a kernel whose weights are all too small for float32.
    strength, strongest = torch.where(largest > 0, heat / largest, 0.0).max(1)
    colours = constant(_COLOURS, heat)[strongest].permute(0, 3, 1, 2)
    gray = (images.float().clamp(-1, 1) * constant(_GRAY, heat)[:, None, None]).sum(1, keepdim=True)
    return torch.lerp(gray, colours * 2 - 1, _COVER * strength[:, None])
