"""Attention between images: texture extraction and distribution, and cross-attention of features.

Neural texture extraction and distribution is from Ren et al., "Neural texture extraction and distribution for
controllable person image synthesis", 2022; equation numbers are ENTED's (Lau et al., 2024). The attention matrices and
the logits that they come from are always float32; under autocast their products with features are not.
"""

import math

import torch
from torch import Tensor, nn

from facerefs.trainers.networks.exact import in_float32
from facerefs.trainers.networks.stylegan2.layers import EqualConv2d

# Factor of the learning rate of kernels (choice): a softmax over thousands of positions needs logits of 10 and more
# before it selects any, and has almost no gradient until then.
KERNEL_LR = 8.0

# --- Texture extraction and distribution (section 3.1) ---


def extraction_matrix(logits: Tensor) -> Tensor:
    """Eq. 1, first line: (B, k, H, W) -> (B, k, HW), float32; for each kernel, weights of the positions, of sum 1."""
    return logits.float().flatten(2).softmax(2)


def extracted(extraction: Tensor, values: Tensor) -> Tensor:
    """Eq. 1, second line: the textures (B, k, c) that each kernel extracts from values (B, c, H, W)."""
    return torch.bmm(extraction, values.flatten(2).transpose(1, 2).to(extraction.dtype))


def distribution_matrix(logits: Tensor) -> Tensor:
    """Eq. 2, first line: (B, k, H, W) -> (B, k, HW), float32; at each position, weights of the kernels, of sum 1."""
    return logits.float().flatten(2).softmax(1)


def distributed(textures: Tensor, distribution: Tensor) -> Tensor:
    """Eq. 2, second line: textures (B, k, c), distributed to the positions: (B, c, HW)."""
    return torch.bmm(textures.transpose(1, 2), distribution.to(textures.dtype))


def carried(images: Tensor, extraction: Tensor, distribution: Tensor) -> Tensor:
    """`I_ref C_e^T C_d` of eq. 11: images (B, 3, H, W), extracted and distributed as if they were textures; float32."""
    with torch.autocast(images.device.type, enabled=False):
        colours = extracted(extraction, images.float())
        return distributed(colours, distribution).view(images.shape)


class Extraction(nn.Module):
    """Features (B, channels, H, W) -> textures (B, kernels, channels) and the extraction matrix (B, kernels, HW)."""

    def __init__(self, channels: int, kernels: int) -> None:
        super().__init__()
        self.kernels = _kernels(channels, kernels)
        self.values = EqualConv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 1."""
        matrix = extraction_matrix(in_float32(self.kernels, features))
        return extracted(matrix, self.values(features)), matrix


class Distribution(nn.Module):
    """Features (B, channels, H, W), textures (B, kernels, channels) -> (B, channels, H, W) and the matrix."""

    def __init__(self, channels: int, kernels: int) -> None:
        super().__init__()
        self.kernels = _kernels(channels, kernels)

    def forward(self, features: Tensor, textures: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 2."""
        matrix = distribution_matrix(in_float32(self.kernels, features))
        return distributed(textures, matrix).view(features.shape), matrix


def _kernels(channels: int, kernels: int) -> EqualConv2d:
    """A 1 x 1 convolution to logits, which have variance 1 at the start."""
    made = EqualConv2d(channels, kernels, 1, bias=False, gain=KERNEL_LR)
    with torch.no_grad():
        made.weight.div_(KERNEL_LR)
    return made


# --- Cross-attention of features (section 3.3) ---


def feature_normalised(features: Tensor, dim: int = 1, epsilon: float = 1e-8) -> Tensor:
    """Eq. 6: features minus their mean along `dim`, divided by their length before that (as printed); float32.

    epsilon: 1e-8 (choice).
    """
    features = features.float()
    length = torch.sqrt(features.square().sum(dim, keepdim=True) + epsilon)
    return (features - features.mean(dim, keepdim=True)) / length


def cross_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Eq. 5: queries (B, d, N), keys (B, d, M), values (B, c, M) -> (B, c, N); each query attends to all M positions.

    `d`, which the paper calls a normalisation constant, is the number of channels (choice). The softmax is in float32.
    """
    logits = torch.bmm(queries.transpose(1, 2), keys).float() / math.sqrt(queries.shape[1])
    shares = logits.softmax(2).to(values.dtype)
    return torch.bmm(values, shares.transpose(1, 2))
