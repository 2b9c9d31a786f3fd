"""Points from heat maps: where cells lie, what the divergence is, and that the network keeps places."""

import math

import pytest
import torch
from scipy.spatial.distance import jensenshannon

from facerefs.trainers.networks.heatmaps import HeatmapNet, divergence, gaussians, points_of, shares_of


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_cell_lies_where_the_mean_of_its_pixels_lies(stride: int) -> None:
    side = 32
    image = torch.zeros(1, 1, side, side, dtype=torch.float64)
    top, left = 8, 12
    image[..., top : top + stride, left : left + stride] = 1
    cells = torch.nn.functional.avg_pool2d(image, stride)
    rows, columns = torch.nonzero(image[0, 0], as_tuple=True)
    expected = [columns.double().mean().item(), rows.double().mean().item()]

    found = points_of(torch.where(cells > 0, 0.0, -1000.0), stride)

    assert found[0, 0].tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_an_exact_gaussian_gives_its_centre_to_a_thousandth_of_a_pixel(stride: int) -> None:
    side = 16 * stride
    centres = torch.rand(3, 5, 2, dtype=torch.float64) * (side / 2) + side / 4
    maps = gaussians(centres, 16, 16, stride, sigma_cells=1.0)
    x = torch.arange(16).double()
    literal = torch.tensor(
        [
            [
                [
                    [
                        math.exp(
                            -(
                                (stride * c + (stride - 1) / 2 - px) ** 2
                                + (stride * r + (stride - 1) / 2 - py) ** 2
                            )
                            / (2 * stride**2)
                        )
                        for c in x.tolist()
                    ]
                    for r in x.tolist()
                ]
                for px, py in face
            ]
            for face in centres.tolist()
        ],
        dtype=torch.float64,
    )

    torch.testing.assert_close(maps, literal / literal.sum((-2, -1), keepdim=True), atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(points_of(maps.log(), stride), centres, atol=1e-3, rtol=0)


def test_maps_that_are_no_squares_keep_x_and_y_apart() -> None:
    logits = torch.full((1, 1, 4, 10), -1000.0)
    logits[0, 0, 3, 7] = 0

    assert points_of(logits, stride=1).tolist() == [[[7.0, 3.0]]]


def test_the_divergence_is_that_of_scipy() -> None:
    logits = torch.randn(2, 3, 6, 8, dtype=torch.float64)
    points = torch.rand(2, 3, 2, dtype=torch.float64) * 10
    wanted = gaussians(points, 6, 8, stride=2, sigma_cells=1.5)

    found = divergence(logits, points, stride=2, sigma_cells=1.5)

    for face in range(2):
        for point in range(3):
            pair = [maps[face, point].flatten().numpy() for maps in (shares_of(logits), wanted)]
            assert found[face, point].item() == pytest.approx(jensenshannon(*pair) ** 2, abs=1e-10)


def test_divergence_and_gradients_are_finite_where_maps_do_not_meet() -> None:
    logits = torch.full((1, 1, 16, 16), -2000.0)
    logits[0, 0, 0, 0] = 0
    logits.requires_grad_()

    apart = divergence(logits, torch.tensor([[[15.0, 15.0]]]), stride=1)
    apart.sum().backward()

    assert apart.item() == pytest.approx(math.log(2), abs=1e-5)
    assert torch.isfinite(logits.grad).all()


def test_autocast_does_not_round_coordinates() -> None:
    centres = torch.tensor([[[200.37, 211.81]]])
    logits = gaussians(centres, 64, 64, stride=4, sigma_cells=1.0).clamp(min=1e-30).log()

    with torch.autocast("cpu", torch.bfloat16):
        found = points_of(logits, stride=4)

    assert found.dtype == torch.float32
    torch.testing.assert_close(found, centres, atol=0.01, rtol=0)


@pytest.mark.parametrize("stride", [2, 4])
def test_a_mirrored_network_finds_mirrored_points(stride: int) -> None:
    """Only if every layer keeps its centres in place: a shift of half a pixel shows up as one of a whole pixel."""
    torch.manual_seed(0)
    network = HeatmapNet((16, 16, 16), stride, points=5)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            with torch.no_grad():
                module.weight += module.weight.flip(-1)  # symmetrical filters
    images = torch.randn(2, 3, 32, 32)

    with torch.no_grad():
        found = points_of(network(images), stride)
        mirrored = points_of(network(images.flip(-1)), stride)

    assert found[..., 0].std() > 0.01
    torch.testing.assert_close(31 - mirrored[..., 0], found[..., 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(mirrored[..., 1], found[..., 1], atol=1e-3, rtol=0)


def test_widths_and_stride_are_checked() -> None:
    with pytest.raises(ValueError, match="power of two"):
        HeatmapNet((16,), stride=3)
