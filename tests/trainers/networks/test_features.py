"""The feature networks give what torchvision's give, under torchvision's names, and never change."""

import pytest
import torch

from facerefs.trainers.networks.features import ALEXNET, VGG16, VGG19, Architecture, Features
from facerefs.trainers.weights.imagenet import draw_weights

LAST = {"VGG16": "relu5_3", "VGG19": "relu5_4", "AlexNet": "relu5"}
networks = pytest.mark.parametrize("architecture", [VGG16, VGG19, ALEXNET], ids=lambda a: a.name)


def _network(architecture: Architecture, *activations: str) -> Features:
    network = Features(architecture, activations or [LAST[architecture.name]])
    draw_weights(network)
    return network


def _torchvisions(architecture: Architecture) -> torch.nn.Module:
    from facerefs.stages.quality.torchvision_compat import import_torchvision

    import_torchvision()
    from torchvision import models

    with torch.device("meta"):  # names and shapes, no memory and no drawing
        return getattr(models, architecture.name.lower())()


@networks
def test_parameters_have_torchvisions_names_and_shapes(architecture: Architecture) -> None:
    theirs = {
        name: value.shape
        for name, value in _torchvisions(architecture).state_dict().items()
        if name.startswith("features.")
    }
    assert {name: value.shape for name, value in _network(architecture).state_dict().items()} == theirs


@networks
def test_each_activation_is_the_one_that_torchvisions_layers_give(architecture: Architecture) -> None:
    theirs = _torchvisions(architecture).features.to_empty(device="cpu")
    whole = _network(architecture)
    theirs.load_state_dict({name.removeprefix("features."): v for name, v in whole.state_dict().items()})
    images = torch.rand(2, 3, 67, 64) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    values = ((images + 1) / 2 - mean[:, None, None]) / std[:, None, None]
    expected = []
    for layer in theirs:
        values = layer(values.clone())
        if not isinstance(layer, torch.nn.MaxPool2d):
            expected.append(values)
    names = [
        f"{kind}{conv.name}"
        for conv in architecture.layers
        if hasattr(conv, "name")
        for kind in ("conv", "relu")
    ]
    found = _network(architecture, *names)(images)
    assert list(found) == names
    for mine, other in zip(found.values(), expected, strict=True):
        assert torch.allclose(mine, other, rtol=1e-4, atol=1e-5 * other.abs().max().item())
    alone = _network(architecture, names[3])(images)[names[3]]  # what else is asked for changes nothing
    assert torch.equal(alone, found[names[3]])


def test_only_the_layers_that_are_needed_are_there() -> None:
    assert set(Features(VGG19, ["relu1_2"]).state_dict()) == {
        f"features.{place}.{kind}" for place in (0, 2) for kind in ("weight", "bias")
    }


def test_gradients_reach_the_images_and_no_weight() -> None:
    network = _network(ALEXNET)
    images = torch.zeros(1, 3, 64, 64, requires_grad=True)
    network(images)["relu5"].sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network(images.detach())["relu5"].requires_grad


def test_making_a_network_leaves_torchs_own_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    _network(ALEXNET)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("architecture", "activation", "smallest"),
    [(ALEXNET, "relu5", 31), (VGG16, "relu5_3", 16), (VGG19, "relu1_2", 1)],
)
def test_images_may_be_as_small_as_it_says_and_no_smaller(
    architecture: Architecture, activation: str, smallest: int
) -> None:
    network = _network(architecture, activation)
    assert network.smallest_px == smallest
    assert network(torch.zeros(1, 3, smallest, smallest))[activation].numel() > 0
    with pytest.raises(ValueError, match=f"at least {smallest} px, not {smallest - 1} x 40"):
        network(torch.zeros(1, 3, smallest - 1, 40))


def test_an_activation_that_is_not_there_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"AlexNet has no activation 'relu1_2'; it has conv1, relu1, .*relu5"
    ):
        Features(ALEXNET, ["relu1", "relu1_2"])
    with pytest.raises(ValueError, match="no activation of VGG16 is asked for"):
        Features(VGG16, [])
