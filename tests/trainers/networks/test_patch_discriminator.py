"""A local discriminator halves twice and judges place by place."""

import pytest
import torch

from facerefs.trainers.networks.patch_discriminator import PatchDiscriminator


@pytest.mark.parametrize(("height", "width"), [(80, 80), (120, 120), (12, 16)])
def test_logits_are_one_map_of_a_quarter_of_the_size(height: int, width: int) -> None:
    logits = PatchDiscriminator(2)(torch.randn(2, 3, height, width))
    assert logits.shape == (2, 1, height // 4, width // 4)
    assert logits.dtype == torch.float32


def test_a_logit_depends_on_its_surroundings_alone() -> None:
    torch.manual_seed(3)
    network, images = PatchDiscriminator(4), torch.randn(1, 3, 80, 80)
    other = images.clone()
    other[..., 60:] += 1
    changed = (network(images) != network(other))[0, 0].any(0)
    assert not changed[:9].any()
    assert changed[15:].all()


def test_it_gives_float32_logits_under_autocast() -> None:
    network, images = PatchDiscriminator(4), torch.randn(1, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
