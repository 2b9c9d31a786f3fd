"""Regions are those of Mask R-CNN's RoIAlign, bin by bin, and gradients reach the image."""

import pytest
import torch
from torch import Tensor

from facerefs.trainers.geometry.rois import roi_align


def literal(image: Tensor, box: list[float], height: int, width: int, samples: int) -> Tensor:
    """Mask R-CNN, section 3, with torchvision's borders: (C, H, W) -> (C, height, width), loop by loop."""
    channels, rows, columns = image.shape
    left, top, right, bottom = box

    def pixel(channel: int, y: float, x: float) -> float:
        if y < -1 or y > rows or x < -1 or x > columns:
            return 0.0
        y, x = min(max(y, 0.0), rows - 1), min(max(x, 0.0), columns - 1)
        y0, x0 = int(y), int(x)
        y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
        b, a = y - y0, x - x0
        plane = image[channel]
        upper = (1 - a) * plane[y0, x0] + a * plane[y0, x1]
        lower = (1 - a) * plane[y1, x0] + a * plane[y1, x1]
        return float((1 - b) * upper + b * lower)

    out = torch.zeros(channels, height, width, dtype=torch.float64)
    bin_height, bin_width = (bottom - top) / height, (right - left) / width
    for channel in range(channels):
        for i in range(height):
            for j in range(width):
                for v in range(samples):
                    for u in range(samples):
                        y = top + i * bin_height + (v + 0.5) * bin_height / samples
                        x = left + j * bin_width + (u + 0.5) * bin_width / samples
                        out[channel, i, j] += pixel(channel, y, x)
    return out / samples**2


@pytest.mark.parametrize(("height", "width", "samples"), [(3, 4, 2), (5, 2, 1), (2, 2, 3)])
def test_regions_are_those_of_the_paper(height: int, width: int, samples: int) -> None:
    images = torch.randn(2, 2, 9, 12, generator=torch.manual_seed(1))
    boxes = torch.tensor(
        [
            [[1.2, 0.7, 8.1, 6.4], [4.0, 3.0, 4.5, 3.2]],  # within the image
            [[-4.3, -3.1, 5.0, 4.0], [6.5, 2.0, 16.0, 13.5]],  # over its edges
        ]
    )
    found = roi_align(images, boxes, height, width, samples)
    assert found.shape == (2, 2, 2, height, width)
    for image, own, cut in zip(images.double(), boxes.double(), found, strict=True):
        for box, region in zip(own.tolist(), cut, strict=True):
            torch.testing.assert_close(
                region.double(), literal(image, box, height, width, samples), atol=1e-5, rtol=0
            )


def test_a_box_over_whole_pixels_is_the_pixels_themselves() -> None:
    images = torch.randn(1, 3, 8, 8)
    box = torch.tensor([[[1.5, 2.5, 5.5, 6.5]]])  # pixels 2 to 5 and 3 to 6, from edge to edge
    (cut,) = roi_align(images, box, 4, 4, samples=1)
    torch.testing.assert_close(cut[0], images[0, :, 3:7, 2:6])


def test_gradients_reach_the_pixels_of_a_region_and_no_others() -> None:
    images = torch.randn(1, 1, 8, 8, dtype=torch.float32, requires_grad=True)
    roi_align(images, torch.tensor([[[1.5, 2.5, 5.5, 6.5]]]), 4, 4, samples=1).sum().backward()
    expected = torch.zeros(8, 8)
    expected[3:7, 2:6] = 1
    torch.testing.assert_close(images.grad[0, 0], expected)  # type: ignore[index]


def test_regions_are_exact_under_autocast() -> None:
    images, boxes = torch.randn(1, 3, 16, 16), torch.tensor([[[2.1, 3.3, 9.0, 10.7]]])
    with torch.autocast("cpu", torch.bfloat16):
        rough = roi_align(images, boxes, 4, 4)
    assert torch.equal(rough, roi_align(images, boxes, 4, 4))
