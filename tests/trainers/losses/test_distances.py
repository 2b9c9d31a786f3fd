"""ReFine's spatial minimum, location by location, and its identity loss against a literal eq. 4."""

import math

import pytest
import torch

from facerefs.trainers.losses.distances import identity_loss, spatial_minimum


def _maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    truth, reference = torch.rand(2, 3, 1, 6, 5, generator=generator)
    return truth, reference, (torch.rand(3, 1, 6, 5, generator=generator) > 0.4).float()


def test_the_spatial_minimum_is_the_mean_of_the_smaller_distance_where_there_is_a_reference() -> None:
    truth, reference, valid = _maps()
    total = 0.0
    for b in range(3):
        for y in range(6):
            for x in range(5):
                distance = float(truth[b, 0, y, x])
                if valid[b, 0, y, x] == 1:
                    distance = min(distance, float(reference[b, 0, y, x]))
                total += distance
    found = spatial_minimum(truth, reference, valid)
    assert found.shape == ()
    assert abs(float(found) - total / 90) < 1e-6


def test_the_gradient_goes_to_the_smaller_distance_alone() -> None:
    truth, reference, valid = _maps()
    truth.requires_grad_()
    reference.requires_grad_()
    spatial_minimum(truth, reference, valid).backward()
    by_reference = (valid == 1) & (reference < truth)
    assert torch.equal(reference.grad, by_reference / 90)
    assert torch.equal(truth.grad, ~by_reference / 90)


def test_without_any_reference_the_spatial_minimum_is_the_traditional_loss() -> None:
    truth, reference, valid = _maps()
    assert torch.equal(spatial_minimum(truth, reference, torch.zeros_like(valid)), truth.mean())


def literal(a: list[float], b: list[float]) -> float:
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return 1 - product / (math.hypot(*a) * math.hypot(*b))


def test_the_identity_loss_is_the_mean_of_equation_4() -> None:
    a, b = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    expected = sum(literal(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)) / 5
    assert identity_loss(a, b).item() == pytest.approx(expected, abs=1e-6)


def test_alike_is_0_opposite_is_2_and_length_does_not_count() -> None:
    a = torch.tensor([[3.0, 4.0]])
    assert identity_loss(a, 10 * a).item() == pytest.approx(0, abs=1e-6)
    assert identity_loss(a, -a).item() == pytest.approx(2)


def test_missing_embeddings_do_not_count() -> None:
    a = torch.tensor([[1.0, 0], [1, 0], [0, 0]], requires_grad=True)
    b = torch.tensor([[0.0, 1], [0, 0], [0, 1]])
    loss = identity_loss(a, b)
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert a.grad is not None
    torch.testing.assert_close(a.grad, torch.tensor([[0.0, -1], [0, 0], [0, 0]]))


def test_without_any_embedding_the_identity_loss_is_0_and_so_is_its_gradient() -> None:
    a = torch.ones(2, 3, requires_grad=True)
    loss = identity_loss(a, torch.zeros(2, 3))
    loss.backward()
    assert loss.item() == 0
    assert a.grad is not None
    assert a.grad.abs().max() == 0


def test_the_identity_loss_is_computed_in_float32() -> None:
    a = torch.randn(4, 128, generator=torch.Generator().manual_seed(0))
    half = a.bfloat16()
    assert identity_loss(half, half).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert identity_loss(a, a).item() == pytest.approx(0, abs=1e-5)
