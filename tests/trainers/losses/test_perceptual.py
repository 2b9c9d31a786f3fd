"""The perceptual loss is basicsr's, and what its formula says."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.losses.perceptual import GFPGAN_LAYERS, Perceptual
from facerefs.trainers.networks.features import ALEXNET, Features
from facerefs.trainers.weights.imagenet import draw_weights
from tests.stages.degrade.basicsr_oracle import degradations
from tests.stages.degrade.oracle import needs_basicsr


def _pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    truth = torch.rand(2, 3, 40, 32, generator=generator) * 2 - 1
    return truth + 0.2 * torch.randn(truth.shape, generator=generator), truth


@needs_basicsr
def test_it_is_basicsrs_loss_with_gfpgans_options(monkeypatch: pytest.MonkeyPatch) -> None:
    degradations()  # makes basicsr importable
    from basicsr.archs import vgg_arch
    from basicsr.losses.basic_loss import PerceptualLoss

    with torch.device("meta"):  # its classifier is large, and slow to draw
        features = vgg_arch.vgg.vgg19().features.to_empty(device="cpu")
    monkeypatch.setattr(vgg_arch.vgg, "vgg19", lambda pretrained: SimpleNamespace(features=features))
    theirs = PerceptualLoss(dict(GFPGAN_LAYERS), use_input_norm=True, range_norm=True, criterion="l1")
    ours = Perceptual("random")
    for mine, other in zip(ours.network.parameters(), theirs.vgg.parameters(), strict=True):
        other.copy_(mine)
    restored, truth = _pair()
    restored.requires_grad_()
    found, (expected, _) = ours(restored, truth), theirs(restored, truth)
    assert torch.allclose(found, expected, rtol=1e-5)
    gradients = [torch.autograd.grad(loss, restored)[0] for loss in (found, expected)]
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-5 * float(gradients[1].abs().max()))


def test_l2_on_alexnet_is_the_mean_of_squares_literally() -> None:
    ours = Perceptual("random", {"relu2": 0.5, "conv5": 2.0}, "l2", ALEXNET)
    network = Features(ALEXNET, ["relu2", "conv5"])
    draw_weights(network)
    restored, truth = _pair()
    one, other = network(restored), network(truth)
    expected = 0.0
    for name, weight in (("relu2", 0.5), ("conv5", 2.0)):
        difference = one[name].double() - other[name].double()
        expected += weight * float((difference**2).sum()) / difference.numel()
    assert float(ours(restored, truth)) == pytest.approx(expected, rel=1e-5)
    assert ours.note == "perceptual loss by AlexNet: random weights"


def test_the_truth_gets_no_gradient_and_equal_images_have_no_loss() -> None:
    ours = Perceptual("random", {"relu1_2": 1.0})
    restored, truth = _pair()
    truth.requires_grad_()
    assert not ours(restored, truth).requires_grad
    assert ours(restored.requires_grad_(), truth).requires_grad
    assert ours(truth, truth.clone()).item() == 0


def test_a_layer_that_is_not_there_and_weights_that_are_not_there_are_told() -> None:
    with pytest.raises(ValueError, match="VGG19 has no activation 'relu6_1'"):
        Perceptual("random", {"relu6_1": 1.0})
    with pytest.raises(MissingWeights, match=r"no weights at 'nowhere\.pth'"):
        Perceptual("nowhere.pth")
