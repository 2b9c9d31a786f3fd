"""Weights of VGG16, VGG19 and AlexNet: torchvision's from ImageNet, or random from a fixed seed."""

from pathlib import Path

import torch
from torch import nn

from facerefs.stages.engines.torch_file import fill, read_tensors
from facerefs.trainers.networks.features import ALEXNET, VGG16, VGG19, Architecture, Features
from facerefs.trainers.weights.pretrained import RANDOM, find_file

_FOLDER = "https://download.pytorch.org/models"
_FILES = {
    VGG16.name: "vgg16-397923af.pth",
    VGG19.name: "vgg19-dcbb9e9d.pth",
    ALEXNET.name: "alexnet-owt-7be5be79.pth",
}
_SEED = 5


def load_features(network: Features, setting: str) -> str:
    """Load the weights of a network; returns a note for log and checkpoint that names them.

    setting: a path, `cache`, `download` or `random`. Raises MissingWeights if there are none, or if they do not fit.
    """
    name = network.architecture.name
    if setting == RANDOM:
        draw_weights(network)
        return f"{name}: random weights"
    path = weights_file(network.architecture, setting)
    fill(network, read_tensors(path, name), f"{path} holds no weights of {name}")
    return f"{name}: weights of {path}"


def weights_file(architecture: Architecture, setting: str) -> Path:
    """The file of a network's weights: a path, or that of `cache` or `download`. Raises MissingWeights."""
    file = _FILES[architecture.name]
    return find_file(setting, file, f"{_FOLDER}/{file}")


@torch.no_grad()
def draw_weights(network: nn.Module) -> None:
    """Initialise the weights of all convolutions (He et al. 2015, eq. 10; biases 0), each time the same.

    A separate random generator is used, so the state of torch's own generator does not change.
    """
    generator = torch.Generator().manual_seed(_SEED)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            drawn = torch.empty(layer.weight.shape)  # on the CPU, so that every device has the same
            layer.weight.copy_(nn.init.kaiming_normal_(drawn, nonlinearity="relu", generator=generator))
            if layer.bias is not None:
                layer.bias.zero_()
