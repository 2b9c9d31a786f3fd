"""Feature networks get their weights from a file, or the same random ones every time, and say which."""

from pathlib import Path

import pytest
import torch

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.networks.features import ALEXNET, VGG19, Features
from facerefs.trainers.weights.imagenet import load_features


def _network() -> Features:
    return Features(VGG19, ["relu2_1"])


def test_weights_come_from_a_file_with_more_in_it(tmp_path: Path) -> None:
    file = tmp_path / "vgg.pth"
    state = {name: torch.rand_like(value) for name, value in _network().state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(3)}, file)
    network = _network()
    assert load_features(network, str(file)) == f"VGG19: weights of {file}"
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_another_networks_weights_are_told(tmp_path: Path) -> None:
    file = tmp_path / "alex.pth"
    torch.save({"features.0.weight": torch.zeros(64, 3, 11, 11)}, file)
    said = r"alex\.pth holds no weights of VGG19: features.0.weight has shape \(64, 3, 11, 11\), not \(64, 3, 3, 3\)"
    with pytest.raises(MissingWeights, match=said):
        load_features(_network(), str(file))


def test_the_cache_has_torchvisions_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    said = r"curl .*vgg19-dcbb9e9d\.pth https://download\.pytorch\.org/models/vgg19-dcbb9e9d\.pth`"
    with pytest.raises(MissingWeights, match=said):
        load_features(_network(), "cache")


def test_random_weights_are_the_same_whatever_torchs_own_generator_does() -> None:
    first, second = _network(), _network()
    torch.manual_seed(1)
    assert load_features(first, "random") == "VGG19: random weights"
    torch.manual_seed(2)
    before = torch.get_rng_state()
    load_features(second, "random")
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_random_weights_keep_the_size_of_the_activations() -> None:
    network = Features(ALEXNET, ["relu1", "relu5"])
    load_features(network, "random")
    found = network(torch.rand(2, 3, 64, 64) * 2 - 1)
    assert 0.1 < found["relu5"].std() / found["relu1"].std() < 10
