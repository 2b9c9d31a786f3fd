"""Attention: eq. 1, 2, 5, 6 and 11 of ENTED against loops over kernels and places."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate, scaled_dot_product_attention

from facerefs.trainers.losses.attention import attention_reconstruction
from facerefs.trainers.networks.attention import (
    Distribution,
    Extraction,
    carried,
    cross_attention,
    distribution_matrix,
    extraction_matrix,
    feature_normalised,
)

SHARP = 100.0  # logits this far apart leave nothing to the others


def literal_extraction(
    kernels: Tensor, values: Tensor, bias: Tensor, features: Tensor
) -> tuple[Tensor, Tensor]:
    """Eq. 1 of one sample: kernels (k, c), values (c, c) and features (c, h, w) -> (k, c) and (k, hw), in doubles."""
    places = [features[:, y, x].double() for y in range(features.shape[1]) for x in range(features.shape[2])]
    matrix = torch.zeros(len(kernels), len(places), dtype=torch.float64)
    textures = torch.zeros(len(kernels), len(values), dtype=torch.float64)
    for p, kernel in enumerate(kernels.double()):
        powers = [math.exp(kernel @ place) for place in places]
        for q, place in enumerate(places):
            matrix[p, q] = powers[q] / sum(powers)
            textures[p] += matrix[p, q] * (values.double() @ place + bias.double())
    return textures, matrix


def literal_distribution(kernels: Tensor, features: Tensor, textures: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 2 of one sample: kernels (k, c), features (c, h, w) and textures (k, c) -> (c, h, w) and (k, hw)."""
    _, height, width = features.shape
    matrix = torch.zeros(len(kernels), height * width, dtype=torch.float64)
    laid = torch.zeros(textures.shape[1], height, width, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            powers = [math.exp(kernel @ features[:, y, x].double()) for kernel in kernels.double()]
            for p, power in enumerate(powers):
                matrix[p, y * width + x] = power / sum(powers)
                laid[:, y, x] += power / sum(powers) * textures[p].double()
    return laid, matrix


def weights_of(module: Extraction | Distribution) -> Tensor:
    """The kernels as they act: (k, c)."""
    return (module.kernels.weight[:, :, 0, 0] * module.kernels.weight_gain).detach()


def test_extraction_is_equation_1() -> None:
    torch.manual_seed(1)
    extract, features = Extraction(5, 3), torch.randn(2, 5, 3, 4)
    extract.values.bias.data.normal_()
    textures, matrix = extract(features)
    values = extract.values.weight[:, :, 0, 0] * extract.values.weight_gain
    for i in range(2):
        found = literal_extraction(weights_of(extract), values, extract.values.bias, features[i])
        torch.testing.assert_close(textures[i].double(), found[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(matrix[i].double(), found[1], rtol=1e-5, atol=1e-7)


def test_distribution_is_equation_2() -> None:
    torch.manual_seed(2)
    distribute, features, textures = Distribution(5, 3), torch.randn(2, 5, 3, 4), torch.randn(2, 3, 5)
    laid, matrix = distribute(features, textures)
    for i in range(2):
        found = literal_distribution(weights_of(distribute), features[i], textures[i])
        torch.testing.assert_close(laid[i].double(), found[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(matrix[i].double(), found[1], rtol=1e-5, atol=1e-7)


def test_kernels_share_out_places_and_places_share_out_kernels() -> None:
    logits = 30 * torch.randn(2, 3, 64, 64, dtype=torch.bfloat16)
    over_places, over_kernels = extraction_matrix(logits), distribution_matrix(logits)
    assert over_places.dtype == over_kernels.dtype == torch.float32
    torch.testing.assert_close(over_places.sum(2), torch.ones(2, 3))
    torch.testing.assert_close(over_kernels.sum(1), torch.ones(2, 64 * 64))


def test_logits_vary_by_1_at_first() -> None:
    torch.manual_seed(3)
    for module in (Extraction(256, 32), Distribution(256, 32)):
        assert module.kernels(torch.randn(4, 256, 8, 8)).std().item() == pytest.approx(1, abs=0.1)


def test_kernels_learn_eight_times_as_fast_as_other_layers() -> None:
    extract, features = Extraction(4, 2), torch.randn(1, 4, 2, 2)
    before, was = extract.kernels(features), extract.values(features)
    with torch.no_grad():  # the same step of Adam for all weights
        extract.kernels.weight += 1e-3
        extract.values.weight += 1e-3
    moved, usual = extract.kernels(features) - before, extract.values(features) - was
    torch.testing.assert_close(moved, 8 * usual[:, :2], rtol=1e-2, atol=1e-5)


def test_a_place_that_one_kernel_takes_arrives_where_this_kernel_is_laid() -> None:
    """With two kernels, one for the left pixel of the reference and one for the right, colours change places."""
    reference = torch.tensor([[[[-1.0, 1.0]], [[0.5, 0.0]], [[0.2, 0.7]]]])
    taken = SHARP * torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    laid = SHARP * torch.tensor([[[[0.0, 1.0]], [[1.0, 0.0]]]])
    found = carried(reference, extraction_matrix(taken), distribution_matrix(laid))
    torch.testing.assert_close(found, reference.flip(3))


def test_attention_reconstruction_is_equation_11() -> None:
    torch.manual_seed(4)
    reference, truth = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    extraction = {side: extraction_matrix(torch.randn(2, 3, side, side)) for side in (2, 4)}
    distribution = {side: distribution_matrix(torch.randn(2, 3, side, side)) for side in (2, 4)}
    expected = 0.0
    for side in (2, 4):
        small = [
            interpolate(images, scale_factor=side / 8, mode="bilinear").flatten(2).double()
            for images in (reference, truth)
        ]
        difference = torch.zeros(2, 3, side * side, dtype=torch.float64)
        for i in range(2):
            product = small[0][i] @ extraction[side][i].double().T @ distribution[side][i].double()
            difference[i] = small[1][i] - product
        expected += difference.abs().mean().item()
    found = attention_reconstruction(reference, truth, extraction, distribution)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(attention_reconstruction(reference, truth, extraction, distribution), found)


def test_features_are_normalised_as_equation_6_is_printed() -> None:
    torch.manual_seed(5)
    features = torch.randn(2, 5, 3, 4) + 2
    found = feature_normalised(features)
    for place in ((0, 0, 0), (1, 2, 3)):
        i, y, x = place
        vector = features[i, :, y, x].tolist()
        mean, length = sum(vector) / 5, math.sqrt(sum(value**2 for value in vector))
        expected = torch.tensor([(value - mean) / length for value in vector])
        torch.testing.assert_close(found[i, :, y, x], expected, rtol=1e-5, atol=1e-6)
    assert torch.isfinite(feature_normalised(torch.zeros(1, 4, 2, 2))).all()
    along = feature_normalised(features, dim=3)
    torch.testing.assert_close(along.sum(3), torch.zeros(2, 5, 3), atol=1e-5, rtol=0)


def test_cross_attention_is_equation_5() -> None:
    torch.manual_seed(6)
    queries, keys, values = torch.randn(2, 8, 6), torch.randn(2, 8, 9), torch.randn(2, 5, 9)
    expected = scaled_dot_product_attention(*(part.transpose(1, 2) for part in (queries, keys, values)))
    torch.testing.assert_close(cross_attention(queries, keys, values), expected.transpose(1, 2))


def test_all_of_it_has_gradients_and_stays_finite_in_bfloat16() -> None:
    torch.manual_seed(7)
    extract, distribute = Extraction(8, 4), Distribution(8, 4)
    features, place = torch.randn(2, 8, 16, 16, requires_grad=True), torch.randn(2, 8, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        textures, _ = extract(features)
        laid, _ = distribute(place, textures)
        laid.float().square().mean().backward()
    parameters = [features, *extract.parameters(), *distribute.parameters()]
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in parameters)


def test_kernels_learn_to_carry_a_reference_to_where_its_content_is() -> None:
    torch.manual_seed(8)
    extract, distribute = Extraction(8, 16), Distribution(8, 16)
    features, reference = torch.randn(1, 8, 6, 6), torch.rand(1, 3, 6, 6)
    adam = torch.optim.Adam([extract.kernels.weight, distribute.kernels.weight], lr=2e-3)
    losses = []
    for _ in range(150):
        textures, taken = extract(features)
        _, laid = distribute(features.flip(3), textures)
        loss = attention_reconstruction(reference, reference.flip(3), {6: taken}, {6: laid})
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]
