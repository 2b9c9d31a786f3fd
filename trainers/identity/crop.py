"""Differentiable face crops, as ArcFace and dlib need them.

Images are (B, 3, H, W) in [-1, 1], landmarks (B, 68, 2) in pixels of the image; pixel centres lie at whole numbers.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from facerefs.stages.faces import geometry

_NO_FACE = 1e-12  # square pixels: points that coincide
_LARGEST_EYE_DISTANCE = 0.25  # of an aligned face's side, which is at least 4 of them (`ffhq_transform`)
_ARCFACE_EYE_DISTANCE = 0.315  # as a share of the crop's side, from the five points
_DLIB_EYE_DISTANCE = 0.353  # as a share of the chip's side, from the mean face
_DLIB_PADDING = 0.25  # as a share of the mean face's side, around it

# dlib's mean face in `get_face_chip_details`: nose, eyes, outer and inner upper lip. The other points are not used.
_DLIB_POINTS = (slice(27, 55), slice(60, 65))
_MEAN_X = (
    0.490127, 0.490127, 0.490127, 0.490127, 0.366880, 0.426036, 0.490127, 0.554217, 0.613373,
    0.121737, 0.187122, 0.265825, 0.334606, 0.260918, 0.182743,
    0.645647, 0.714428, 0.793132, 0.858516, 0.797510, 0.719335,
    0.254149, 0.340985, 0.428858, 0.490127, 0.551395, 0.639268, 0.726104,
    0.290379, 0.428096, 0.490127, 0.552157, 0.689874,
)  # fmt: skip
_MEAN_Y = (
    0.203352, 0.307009, 0.409805, 0.515625, 0.587326, 0.609345, 0.628106, 0.609345, 0.587326,
    0.216423, 0.178758, 0.179852, 0.231733, 0.245099, 0.244077,
    0.231733, 0.179852, 0.178758, 0.216423, 0.244077, 0.245099,
    0.780233, 0.745405, 0.727388, 0.742578, 0.727388, 0.745405, 0.780233,
    0.784792, 0.778746, 0.785343, 0.778746, 0.784792,
)  # fmt: skip


class ArcFaceCrop(nn.Module):
    """Crops aligned by eyes, nose tip and corners of the mouth, as in stages/engines/insightface.py.

    Outside its border the image is mirrored.
    """

    def __init__(self, side_px: int = 112) -> None:
        super().__init__()
        self.side_px = side_px
        self.target: Tensor
        self.register_buffer("target", torch.tensor(geometry.arcface_points(side_px)).float())

    def forward(self, images: Tensor, landmarks: Tensor) -> Tensor:
        """Crops (B, 3, side_px, side_px)."""
        to_image = _inverse(_similarity(_five_points(landmarks), self.target))
        samples = _samples(images, _ARCFACE_EYE_DISTANCE * self.side_px)
        return _cut(images, to_image, self.side_px, samples, "bicubic", "reflection")


class DlibChip(nn.Module):
    """The crop that dlib makes for its ResNet: `get_face_chip_details` with 150 px and padding 0.25.

    Outside the image it is black. The landmarks may be fractional, unlike in dlib itself.
    """

    side_px = 150

    def __init__(self) -> None:
        super().__init__()
        mean = torch.tensor([_MEAN_X, _MEAN_Y]).T
        self.mean_face: Tensor
        self.register_buffer("mean_face", (mean + _DLIB_PADDING) / (1 + 2 * _DLIB_PADDING) * self.side_px)

    def forward(self, images: Tensor, landmarks: Tensor) -> Tensor:
        """Crops (B, 3, 150, 150)."""
        points = torch.cat([landmarks[:, some] for some in _DLIB_POINTS], dim=1)
        to_image = _as_dlib_samples(_similarity(self.mean_face.expand_as(points), points), self.side_px)
        samples = _samples(images, _DLIB_EYE_DISTANCE * self.side_px)
        return _cut(images + 1, to_image, self.side_px, samples, "bilinear", "zeros") - 1


def _as_dlib_samples(to_image: Tensor, side_px: int) -> Tensor:
    """The transform with dlib's sampling: 150 points over the 150 px square around (75, 75), less one photo pixel."""
    turn, shift = to_image[..., :2], to_image[..., 2]
    length = turn[:, :, 0].square().sum(dim=1).clamp_min(_NO_FACE).sqrt()[:, None, None]
    centre = turn.sum(dim=2) * (side_px / 2) + shift
    spread = turn * ((side_px - 1 / length) / (side_px - 1))
    first = centre - spread.sum(dim=2) * ((side_px - 1) / 2)
    return torch.cat([spread, first[..., None]], dim=2)


def _five_points(landmarks: Tensor) -> Tensor:
    eyes = [landmarks[:, eye].mean(dim=1) for eye in (geometry.LEFT_EYE, geometry.RIGHT_EYE)]
    rest = [landmarks[:, point] for point in (geometry.NOSE_TIP, *geometry.MOUTH_CORNERS)]
    return torch.stack([*eyes, *rest], dim=1)


def _similarity(source: Tensor, target: Tensor) -> Tensor:
    """Similarities (B, 2, 3) from points (B, n, 2) to (n, 2) or (B, n, 2), as geometry.similarity_between.

    Points that coincide are mapped to one point.
    """
    from_mean, to_mean = source.mean(dim=-2), target.mean(dim=-2)
    z, w = source - from_mean[..., None, :], target - to_mean[..., None, :]
    energy = z.square().sum(dim=(-2, -1)).clamp_min(_NO_FACE)
    real = (z * w).sum(dim=(-2, -1)) / energy
    imaginary = (z[..., 0] * w[..., 1] - z[..., 1] * w[..., 0]).sum(dim=-1) / energy
    turn = _turn(real, imaginary)
    shift = to_mean[..., None] - _turned(turn, from_mean)
    return torch.cat([turn, shift], dim=-1)


def _inverse(similarity: Tensor) -> Tensor:
    real, imaginary = similarity[:, 0, 0], similarity[:, 1, 0]
    square = (real.square() + imaginary.square()).clamp_min(_NO_FACE)
    turn = _turn(real / square, -imaginary / square)
    return torch.cat([turn, -_turned(turn, similarity[..., 2])], dim=2)


def _turn(real: Tensor, imaginary: Tensor) -> Tensor:
    rows = [torch.stack([real, -imaginary], dim=-1), torch.stack([imaginary, real], dim=-1)]
    return torch.stack(rows, dim=-2)


def _turned(turn: Tensor, points: Tensor) -> Tensor:
    """Matrices (B, 2, 2) times points (..., 2), (B, 2, 1). No matrix product: a GPU would round pixels to TF32."""
    return (turn * points[..., None, :]).sum(-1, keepdim=True)


def _samples(images: Tensor, eye_distance_px: float) -> int:
    """The number of pixels of an aligned face of this size that one crop pixel covers along a side, rounded up.

    Choice: computed from the image size alone, because reading the landmarks would make the CPU wait for the GPU.
    """
    return max(1, math.ceil(max(images.shape[2:]) * _LARGEST_EYE_DISTANCE / eye_distance_px))


def _cut(
    images: Tensor,
    to_image: Tensor,
    side_px: int,
    samples: int,
    mode: Literal["bilinear", "bicubic"],
    outside: Literal["zeros", "reflection"],
) -> Tensor:
    """The crops (B, 3, side_px, side_px); each pixel is the mean of samples x samples, against aliasing.

    to_image: (B, 2, 3), maps pixels of the crop to pixels of the image.
    """
    height, width = images.shape[2:]
    theta = torch.stack([_row(to_image[:, 0], side_px, width), _row(to_image[:, 1], side_px, height)], dim=1)
    grid = _grid(theta, side_px * samples)
    fine = functional.grid_sample(images, grid, mode=mode, padding_mode=outside, align_corners=False)
    return functional.avg_pool2d(fine, samples) if samples > 1 else fine


def _grid(theta: Tensor, side: int) -> Tensor:
    """`affine_grid` (B, side, side, 2) of transforms (B, 2, 3), without its matrix product."""
    at = (torch.arange(side, device=theta.device, dtype=theta.dtype) * 2 + 1) / side - 1
    x, y, shift = theta[:, None, None].unbind(-1)
    return x * at[:, None] + y * at[:, None, None] + shift


def _row(row: Tensor, side_px: int, image_px: int) -> Tensor:
    """A row (B, 3) of a pixel-to-pixel transform, converted to coordinates from -1 to 1 between the outer edges."""
    middle = row[:, 2] + row[:, :2].sum(dim=1) * ((side_px - 1) / 2)
    return torch.cat([row[:, :2] * (side_px / image_px), ((2 * middle + 1) / image_px - 1)[:, None]], dim=1)
