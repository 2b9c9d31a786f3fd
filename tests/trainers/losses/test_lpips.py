"""LPIPS is the one of its authors, as a map and as a figure, with a gradient that is a number."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.losses.lpips import Lpips, Net

both = pytest.mark.parametrize("net", ["alex", "vgg"])


@pytest.fixture(scope="module")
def ours() -> dict[str, Lpips]:
    return {net: Lpips(net, "random") for net in ("alex", "vgg")}


def _theirs(net: str, mine: Lpips, spatial: bool, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package lpips with our weights in its network."""
    from facerefs.stages.quality.torchvision_compat import import_torchvision

    import_torchvision()
    import lpips
    from torchvision import models

    builder = {"alex": "alexnet", "vgg": "vgg16"}[net]
    with torch.device("meta"):  # its classifier is large, and slow to draw
        features = getattr(models, builder)().features.to_empty(device="cpu")
    monkeypatch.setattr(models, builder, lambda pretrained: SimpleNamespace(features=features))
    theirs = lpips.LPIPS(net=net, pnet_rand=True, spatial=spatial, verbose=False)
    state = mine.network.state_dict()
    theirs.net.load_state_dict(
        {name: state[f"features.{name.partition('.')[2]}"] for name in theirs.net.state_dict()}
    )
    return theirs


def distance_map(lpips: Lpips, one: Tensor, other: Tensor) -> Tensor:
    (found,) = lpips.distance_maps(one, [other])
    return found


def _pair(height: int = 64, width: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height + width)
    one = torch.rand(2, 3, height, width, generator=generator) * 2 - 1
    return one, (one + 0.3 * torch.randn(one.shape, generator=generator)).clamp(-1, 1)


@both
@pytest.mark.parametrize("size", [(64, 64), (47, 70)])
def test_the_map_is_that_of_the_package_lpips(
    net: Net, size: tuple[int, int], ours: dict[str, Lpips], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = _theirs(net, ours[net], True, monkeypatch)
    one, other = _pair(*size)
    found, expected = distance_map(ours[net], one, other), theirs(one, other)
    assert found.shape == (2, 1, *size)
    assert expected.abs().max() > 0.05
    assert (found - expected).abs().max() < 1e-5


@both
def test_the_figure_is_that_of_the_package_lpips(
    net: Net, ours: dict[str, Lpips], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = _theirs(net, ours[net], False, monkeypatch)
    one, other = _pair()
    assert torch.allclose(ours[net](one, other), theirs(one, other).flatten(), rtol=1e-5, atol=1e-6)


@both
def test_the_gradient_is_that_of_the_package_lpips(
    net: Net, ours: dict[str, Lpips], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = _theirs(net, ours[net], True, monkeypatch)
    one, other = _pair()
    weights = torch.rand(2, 1, 64, 64)
    found, expected = (
        torch.autograd.grad((measure(image, other) * weights).sum(), image)[0]
        for measure, image in (
            (f, one.clone().requires_grad_()) for f in (partial(distance_map, ours[net]), theirs)
        )
    )
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


@both
def test_equal_images_have_no_distance_and_others_have_one(net: Net, ours: dict[str, Lpips]) -> None:
    one, other = _pair()
    assert ours[net](one, one).abs().max() == 0
    assert (ours[net](one, other) > 0.01).all()
    assert torch.allclose(ours[net](one, other), ours[net](other, one))


def test_maps_to_several_images_are_the_maps_to_each(ours: dict[str, Lpips]) -> None:
    one, other = _pair()
    found = ours["alex"].distance_maps(one, [other, one, -other])
    for mine, target in zip(found, (other, one, -other), strict=True):
        assert torch.equal(mine, distance_map(ours["alex"], one, target))


def test_a_target_that_needs_no_gradient_gets_no_graph(ours: dict[str, Lpips]) -> None:
    one, other = _pair()
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (saved.append(t.numel()), t)[1], lambda t: t):
        distance_map(ours["alex"], one, other)
        assert not saved
        distance_map(ours["alex"], one.requires_grad_(), other)
        alone = sum(saved)
        saved.clear()
        distance_map(ours["alex"], one, other.requires_grad_())
    assert alone < 0.7 * sum(saved)


def test_where_all_features_are_zero_distance_and_gradient_are_too() -> None:
    dead = Lpips("alex", "random")
    for parameter in dead.network.parameters():
        parameter.zero_()
    one, other = _pair()
    one.requires_grad_()
    distance_map(dead, one, other).sum().backward()
    assert one.grad is not None
    assert (one.grad == 0).all()
    found = distance_map(dead.half(), one.detach().half(), other.half())
    assert found.dtype == torch.float32
    assert (found == 0).all()


def test_half_precision_changes_the_distance_little(ours: dict[str, Lpips]) -> None:
    one, other = _pair()
    with torch.autocast("cpu", torch.bfloat16):
        found = distance_map(ours["vgg"], one, other)
    assert found.dtype == torch.float32
    expected = distance_map(ours["vgg"], one, other)
    assert (found - expected).abs().mean() < 0.02 * expected.mean()


def test_it_says_which_weights_it_has_and_none_of_them_learns(ours: dict[str, Lpips]) -> None:
    assert ours["vgg"].note == "LPIPS by VGG16: random weights"
    assert ours["alex"].note == "LPIPS by AlexNet: random weights"
    assert not any(parameter.requires_grad for parameter in ours["vgg"].parameters())
    assert not set(ours["vgg"].state_dict()) - {f"network.{n}" for n in ours["vgg"].network.state_dict()}


def test_without_the_package_lpips_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facerefs.trainers.losses.lpips.find_spec", lambda name: None)
    with pytest.raises(MissingWeights, match="`pip install lpips`"):
        Lpips("alex", "random")
