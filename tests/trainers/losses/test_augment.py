"""The augmentation of what a discriminator sees is what its paper says, pixel by pixel, and gradients pass."""

import colorsys

import pytest
import torch
from torch import Tensor

from facerefs.trainers.losses.augment import augment, recolour, translate


@pytest.fixture
def images() -> Tensor:
    torch.manual_seed(0)
    return torch.rand(3, 3, 8, 16) * 2 - 1


def test_colours_are_changed_pixel_by_pixel(images: Tensor) -> None:
    brightness, saturation, contrast = (
        torch.tensor([0.5, -0.25, 0.1]),
        torch.tensor([0.0, 2.0, 1.0]),
        torch.tensor([1.5, 1.0, 0.5]),
    )
    expected = torch.empty_like(images)
    for b in range(3):
        for y in range(8):
            for x in range(16):
                pixel = [float(colour) + float(brightness[b]) for colour in images[b, :, y, x]]
                gray = sum(pixel) / 3
                expected[b, :, y, x] = torch.tensor(
                    [gray + float(saturation[b]) * (colour - gray) for colour in pixel]
                )
        mean = sum(expected[b].flatten().tolist()) / expected[b].numel()
        expected[b] = (expected[b] - mean) * contrast[b] + mean
    made = recolour(images, brightness, saturation, contrast)
    assert torch.allclose(made, expected, atol=1e-5)
    saturations = [colorsys.rgb_to_hsv(*((pixel + 1) / 2).tolist())[1] for pixel in made[0].flatten(1).t()]
    assert max(saturations) == pytest.approx(0, abs=1e-5)  # gray


def test_images_move_and_zeros_come_in(images: Tensor) -> None:
    down, right = torch.tensor([1, -1, 0]), torch.tensor([-2, 2, 0])
    made = translate(images, down, right)
    for b in range(3):
        for y in range(8):
            for x in range(16):
                from_y, from_x = y - int(down[b]), x - int(right[b])
                inside = 0 <= from_y < 8 and 0 <= from_x < 16
                expected = images[b, :, from_y, from_x] if inside else torch.zeros(3)
                assert torch.equal(made[b, :, y, x], expected)


def test_each_image_has_chances_of_its_own_from_torchs_generator(images: Tensor) -> None:
    same = images[:1].expand(3, -1, -1, -1)
    torch.manual_seed(1)
    one = augment(same)
    torch.manual_seed(1)
    again = augment(same)
    assert torch.equal(one, again)
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(augment(same), one)


def test_changes_go_as_far_as_the_paper_says_and_no_further() -> None:
    torch.manual_seed(2)
    white = torch.ones(2000, 3, 16, 16)
    made = augment(white)
    rows, columns = made.abs().sum((1, 3)) > 0, made.abs().sum((1, 2)) > 0
    for there in (rows, columns):
        lost_first = (~there[:, :8]).sum(1)
        lost_last = (~there[:, 8:]).sum(1)
        assert (lost_first.max(), lost_last.max()) == (2, 2)  # 12.5 % of 16 px
        shares = torch.bincount(lost_first - lost_last + 2) / 2000
        assert torch.allclose(shares, torch.full((5,), 0.2), atol=0.04)
    brightness = made[:, 0, 8, 8] - 1
    assert brightness.min() == pytest.approx(-0.5, abs=0.01)
    assert brightness.max() == pytest.approx(0.5, abs=0.01)

    red = torch.zeros(2000, 3, 16, 16)
    red[:, 0] = torch.linspace(-1, 1, 16)  # along the width
    made = augment(red)[:, :, 8, 4:12]
    width, colour = made.mean(1), made[:, 0] - made[:, 1]
    slope = (width[:, -1] - width[:, 0]) / (7 * 2 / 15 / 3)  # of brightness: contrast alone
    assert slope.min() == pytest.approx(0.5, abs=0.01)
    assert slope.max() == pytest.approx(1.5, abs=0.01)
    strength = (colour[:, -1] - colour[:, 0]) / (7 * 2 / 15) / slope
    assert strength.min() == pytest.approx(0, abs=0.01)
    assert strength.max() == pytest.approx(2, abs=0.01)


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(3)
    images = torch.rand(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def seeded(given: Tensor) -> Tensor:
        torch.manual_seed(4)
        return augment(given)

    assert torch.autograd.gradcheck(seeded, (images,))
    assert torch.autograd.gradgradcheck(seeded, (images,), fast_mode=True)
