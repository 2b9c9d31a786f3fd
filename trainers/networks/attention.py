"""Attention between images: textures taken from one and laid out on another, and features that look at each other.

Neural texture extraction and distribution is of Ren et al., "Neural texture extraction and distribution for
controllable person image synthesis", 2022; numbers of equations are ENTED's (Lau et al., 2024). The matrices, shares of
many places, are in float32 whatever the precision around; under autocast their products with features are not.
"""

import math

import torch
from torch import Tensor, nn

from facerefs.trainers.networks.stylegan2.layers import EqualConv2d

# How much faster than other layers kernels learn (choice): a softmax over thousands of places wants logits of 10 and
# more before it picks any, and hardly has gradients until then.
KERNEL_LR = 8.0

# --- Texture extraction and distribution (section 3.1) ---


def extraction_matrix(logits: Tensor) -> Tensor:
    """Eq. 1, first line: (B, k, H, W) -> (B, k, HW), float32; of each kernel, its shares of the places, of sum 1."""
    return logits.float().flatten(2).softmax(2)


def extracted(extraction: Tensor, values: Tensor) -> Tensor:
    """Eq. 1, second line: what each kernel takes of values (B, c, H, W), as textures (B, k, c)."""
    return torch.bmm(extraction, values.flatten(2).transpose(1, 2).to(extraction.dtype))


def distribution_matrix(logits: Tensor) -> Tensor:
    """Eq. 2, first line: (B, k, H, W) -> (B, k, HW), float32; at each place, the shares of the kernels, of sum 1."""
    return logits.float().flatten(2).softmax(1)


def distributed(textures: Tensor, distribution: Tensor) -> Tensor:
    """Eq. 2, second line: textures (B, k, c), laid out over the places as (B, c, HW)."""
    return torch.bmm(textures.transpose(1, 2), distribution.to(textures.dtype))


def carried(images: Tensor, extraction: Tensor, distribution: Tensor) -> Tensor:
    """`I_ref C_e^T C_d` of eq. 11: what would arrive of images (B, 3, H, W) if they were the texture; float32."""
    with torch.autocast(images.device.type, enabled=False):
        colours = extracted(extraction, images.float())
        return distributed(colours, distribution).view(images.shape)


class Extraction(nn.Module):
    """Features (B, channels, H, W) to textures (B, kernels, channels) and the extraction matrix (B, kernels, HW)."""

    def __init__(self, channels: int, kernels: int) -> None:
        super().__init__()
        self.kernels = _kernels(channels, kernels)
        self.values = EqualConv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 1."""
        matrix = extraction_matrix(self.kernels(features))
        return extracted(matrix, self.values(features)), matrix


class Distribution(nn.Module):
    """Features (B, channels, H, W) and textures (B, kernels, channels) to (B, channels, H, W) and the matrix."""

    def __init__(self, channels: int, kernels: int) -> None:
        super().__init__()
        self.kernels = _kernels(channels, kernels)

    def forward(self, features: Tensor, textures: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 2."""
        matrix = distribution_matrix(self.kernels(features))
        return distributed(textures, matrix).view(features.shape), matrix


def _kernels(channels: int, kernels: int) -> EqualConv2d:
    """A 1 x 1 convolution to logits of variance 1 at first."""
    made = EqualConv2d(channels, kernels, 1, bias=False, gain=KERNEL_LR)
    with torch.no_grad():
        made.weight.div_(KERNEL_LR)
    return made


# --- Features that look at each other (section 3.3) ---


def feature_normalised(features: Tensor, dim: int = 1, epsilon: float = 1e-8) -> Tensor:
    """Eq. 6: less their mean along `dim`, over their length along it (of what came in, as printed); float32.

    epsilon: 1e-8 (choice).
    """
    features = features.float()
    length = torch.sqrt(features.square().sum(dim, keepdim=True) + epsilon)
    return (features - features.mean(dim, keepdim=True)) / length


def cross_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Eq. 5: queries (B, d, N), keys (B, d, M), values (B, c, M) -> (B, c, N); at each query shares of all M places.

    `d`, which the paper calls a normalisation constant, is the number of channels (choice). The softmax is in float32.
    """
    logits = torch.bmm(queries.transpose(1, 2), keys).float() / math.sqrt(queries.shape[1])
    shares = logits.softmax(2).to(values.dtype)
    return torch.bmm(values, shares.transpose(1, 2))
