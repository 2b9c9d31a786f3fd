"""Paste a restored face back into its photo."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facerefs.pipeline.restoring.pasting.colour import match_colours
from facerefs.pipeline.restoring.pasting.grain import match_grain
from facerefs.pipeline.restoring.pasting.mask import face_mask
from facerefs.schemas.arrays import Float32s, Float64s, UInt8Image

_MASK_PX = 256  # side at which the mask is drawn


Levels = TypeVar("Levels", bound=NDArray[np.unsignedinteger])
"""Pixels with 8 or 16 bits."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A restored face in pixels of its photo.

    left, top: where its first pixel is. pixels: float32 (h, w, 3) in 0 to 255, sRGB. weight: float32 (h, w), 0 to 1,
    0 outside the face. grain: the noise that was added, in levels of 255.
    """

    left: int
    top: int
    pixels: Float32s
    weight: Float32s
    grain: float

    @property
    def rows(self) -> slice:
        """Its rows in the photo."""
        return slice(self.top, self.top + self.weight.shape[0])

    @property
    def columns(self) -> slice:
        """Its columns in the photo."""
        return slice(self.left, self.left + self.weight.shape[1])


def patch_of(
    photo: UInt8Image,
    restored: UInt8Image,
    before: UInt8Image,
    transform: Float64s,
    landmarks: Float32s,
    seed: int = 0,
    with_grain: bool = True,
) -> Patch | None:
    """The restored face as it is pasted; None if no pixel of the photo lies under it.

    photo: uint8 (H, W, 3). restored, before: uint8 (S, S, 3), the aligned square after and before. transform: (2, 3),
    from photo pixels to pixels of that square; landmarks: (68, 2) in them. A face that is smaller in the photo than the
    square is filtered against aliasing. with_grain: give it the grain of the photo, whose noise `seed` draws.
    """
    size_px = restored.shape[0]
    box = _covered(photo.shape[1], photo.shape[0], transform, size_px)
    if box is None:
        return None
    left, top, right, bottom = box
    there = photo[top:bottom, left:right].astype(np.float32)
    weight = _weight(transform, landmarks, size_px, box)
    mask = face_mask(landmarks, size_px)
    matched = match_colours(restored, before, mask)
    pixels = _resampled(matched, transform, box)
    pixels, grain = match_grain(pixels, there, weight, seed) if with_grain else (pixels, 0.0)
    return Patch(left, top, np.clip(pixels, 0, 255), weight, grain)


def blend(photo: Levels, patch: Patch, strength: float = 1.0) -> Levels:
    """The photo (H, W, 3), uint8 or uint16, with the patch; pixels where its weight is 0 stay what they are."""
    out = photo.copy()
    unit = np.float32(np.iinfo(photo.dtype).max / 255)
    part = out[patch.rows, patch.columns]
    weight = (patch.weight * np.float32(strength))[..., None]
    mixed = part * (1 - weight) + patch.pixels * unit * weight
    levels = np.rint(np.clip(mixed, 0, np.iinfo(photo.dtype).max)).astype(photo.dtype)
    out[patch.rows, patch.columns] = np.where(weight > 0, levels, part)
    return out


def _covered(width: int, height: int, transform: Float64s, size_px: int) -> tuple[int, int, int, int] | None:
    """The smallest box of photo pixels that holds the square: left, top, right, bottom; None if it is outside."""
    from facerefs.stages.faces.geometry import apply_transform, invert

    last = size_px - 1
    corners = apply_transform(invert(transform), [[0, 0], [last, 0], [last, last], [0, last]])
    left, top = np.floor(corners.min(axis=0)).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, [width, height])
    return (int(left), int(top), int(right), int(bottom)) if left < right and top < bottom else None


def _weight(
    transform: Float64s, landmarks: Float32s, size_px: int, box: tuple[int, int, int, int]
) -> Float32s:
    """The soft mask in pixels of the box; where pixels of the photo are larger it is averaged over them."""
    import cv2

    from facerefs.stages.faces.geometry import compose, invert, scale_of

    left, top, right, bottom = box
    to_square = compose(transform, np.array([[1.0, 0, left], [0, 1, top]]))
    side = min(_MASK_PX, max(32, round(2 * size_px / scale_of(transform))))
    scale = side / size_px
    points = np.asarray((landmarks + 0.5) * scale - 0.5, np.float32)
    to_mask = compose(np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5]]), to_square)
    moved = cv2.warpAffine(
        face_mask(points, side),
        invert(to_mask),
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    weight = np.clip(np.asarray(moved, np.float32), 0, 1)
    weight[weight < 1 / 255] = 0
    return weight


def _resampled(matched: Float32s, transform: Float64s, box: tuple[int, int, int, int]) -> Float32s:
    """The square in pixels of the box, by the filters with which faces are cropped."""
    from facerefs.stages.faces.geometry import compose, invert, warp

    left, top, right, bottom = box
    side = max(right - left, bottom - top)
    to_box = compose(np.array([[1.0, 0, -left], [0, 1, -top]]), invert(transform))
    levels = np.rint(np.clip(matched, 0, 255)).astype(np.uint8)
    return warp(levels, to_box, side).pixels[: bottom - top, : right - left].astype(np.float32)
