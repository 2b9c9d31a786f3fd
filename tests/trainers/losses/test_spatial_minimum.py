"""The spatial minimum loss, location by location."""

import torch

from facerefs.trainers.losses.spatial_minimum import spatial_minimum


def _maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    truth, reference = torch.rand(2, 3, 1, 6, 5, generator=generator)
    return truth, reference, (torch.rand(3, 1, 6, 5, generator=generator) > 0.4).float()


def test_it_is_the_mean_of_the_smaller_distance_where_there_is_a_reference() -> None:
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


def test_without_any_reference_it_is_the_traditional_loss() -> None:
    truth, reference, valid = _maps()
    assert torch.equal(spatial_minimum(truth, reference, torch.zeros_like(valid)), truth.mean())
