"""dlib's face recognition ResNet in torch: King, `dlib_face_recognition_resnet_model_v1`, 2017."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facerefs.stages.engines.dlib_layers import (
    BLOCKS,
    DIMENSIONS,
    STEM_CHANNELS,
    Block,
    Convolution,
    read_resnet,
)


class DlibResnetNetwork(nn.Module):
    """dlib's ResNet: chips (B, 3, 150, 150) in [-1, 1] to embeddings of 128 numbers, not normalised yet.

    As dlib's example `dnn_face_recognition_ex.cpp`: 8-bit pixel values minus a mean, divided by 256; convolutions of
    stride 2 have no padding; if two tensors of a sum differ in size, the smaller one is padded with zeros at its end.
    """

    dimensions = DIMENSIONS

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 7, stride=2)
        before = [STEM_CHANNELS, *(block.channels for block in BLOCKS)]
        self.blocks = nn.Sequential(*map(_Residual, before, BLOCKS))
        self.embedding = nn.Linear(BLOCKS[-1].channels, DIMENSIONS, bias=False)

    def forward(self, chips: Tensor) -> Tensor:
        """Embeddings (B, 128)."""
        levels = (chips + 1) * 127.5
        features = functional.relu(self.stem((levels - self.mean) / 256))
        features = self.blocks(functional.max_pool2d(features, 3, 2))
        embedded: Tensor = self.embedding(features.mean(dim=(2, 3)))
        return embedded


def load_dlib_resnet(path: Path) -> DlibResnetNetwork:
    """The network with a file's weights. Raises MissingWeights."""
    weights = read_resnet(path)
    network = DlibResnetNetwork()
    with torch.no_grad():
        network.mean.copy_(torch.tensor(weights.mean_rgb)[:, None, None])
        for layer, convolution in zip(_convolutions(network), weights.convolutions, strict=True):
            _fill(layer, convolution)
        network.embedding.weight.copy_(torch.from_numpy(weights.embedding.T))
    return network


class _Residual(nn.Module):
    def __init__(self, before: int, block: Block) -> None:
        super().__init__()
        stride, padding = (2, 0) if block.down else (1, 1)
        self.down = block.down
        self.first = nn.Conv2d(before, block.channels, 3, stride, padding)
        self.second = nn.Conv2d(block.channels, block.channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        changed = self.second(functional.relu(self.first(features)))
        return functional.relu(_sum(changed, functional.avg_pool2d(features, 2) if self.down else features))


def _sum(a: Tensor, b: Tensor) -> Tensor:
    if a.shape == b.shape:
        return a + b
    channels, height, width = (max(sides) for sides in zip(a.shape[1:], b.shape[1:], strict=True))
    padded = [
        functional.pad(t, (0, width - t.shape[3], 0, height - t.shape[2], 0, channels - t.shape[1]))
        for t in (a, b)
    ]
    return padded[0] + padded[1]


def _convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]


def _fill(layer: nn.Conv2d, convolution: Convolution) -> None:
    weight = torch.from_numpy(convolution.weight).contiguous(
        memory_format=torch.channels_last
    )  # a tenth faster
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(torch.from_numpy(convolution.bias))
