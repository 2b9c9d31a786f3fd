"""Make a reference from its target: the same face in another pose, expression, light and age, without any weights."""

import cv2
import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float64s, UInt8Image
from facerefs.stages.synthesise.ageing import aged, skin_mask
from facerefs.stages.synthesise.field import enlarged, spline_at_nodes
from facerefs.stages.synthesise.head import Head, head_over
from facerefs.stages.synthesise.light import brightened, exposure, shading
from facerefs.stages.synthesise.parameters import Synthesis
from facerefs.stages.synthesise.turn import turned

_PER_PX = 32  # steps of a sampling position in OpenCV's fixed-point remap
_FARTHEST = 4  # sides of the photo that a landmark may be away
_BORDER_POINTS = 9  # along each side: what lies there stays
_SLACK = 2.0  # how much further away than it moves a point has to be for the border to stay


def reference(
    pixels: UInt8Image, landmarks: npt.ArrayLike, synthesis: Synthesis
) -> tuple[UInt8Image, NDArray[np.float32]]:
    """A synthesised reference and its landmarks, aligned as every reference is.

    pixels: uint8 (S, S, 3) RGB, FFHQ-aligned. landmarks: (68, 2) in its pixels. Returns the same shapes. A mean head
    is laid over the landmarks, turned and projected; the photo follows it by a thin-plate spline; hair and backdrop
    give way, and the border stays. The same bytes on every machine: real numbers are doubles, rounded once to 1/32 px
    and once to 8 bits, and resampling is in whole numbers. Raises ValueError for landmarks that do not span a face,
    or lie far outside.
    """
    size_px = pixels.shape[0]
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2) or not (np.abs(points) <= _FARTHEST * size_px).all():
        raise ValueError("the landmarks are not 68 points in or near the face's image")
    head = head_over(points)
    moved = turned(head, synthesis, size_px)
    skin = head.seen() & moved.seen()
    fields = _fields(head, moved, skin, size_px)
    if not np.isfinite(fields).all():
        raise ValueError("the landmarks do not span a face")
    shades = shading(fields[..., 2], synthesis, size_px, moved.px_per_mm)
    maps = enlarged(np.dstack([fields[..., :2], shades]), size_px)
    image = _resampled(pixels, maps[..., :2]) / 255
    if synthesis.ageing:
        image = aged(image, skin_mask(moved.skin[skin, :2], size_px), synthesis.ageing)
    image = brightened(image, maps[..., 2:] * exposure(synthesis))
    levels: UInt8Image = np.rint(image * 255).clip(0, 255).astype(np.uint8)
    return levels, moved.skin[:68, :2].astype(np.float32)


def _fields(head: Head, moved: Head, skin: NDArray[np.bool_], size_px: int) -> Float64s:
    """At the nodes of the new photo: how far away in the old one its pixels lie (x, y), and its height, all in px."""
    old = np.concatenate([head.skin[skin], head.outline])
    new = np.concatenate([moved.skin[skin], moved.outline])
    away = (old - new)[:, :2]
    border = _border(new[:, :2], away, size_px)
    values = np.concatenate([np.column_stack([away, -new[:, 2]]), np.zeros((len(border), 3))])
    return spline_at_nodes(np.concatenate([new[:, :2], border]), values, size_px)


def _border(points: Float64s, away: Float64s, size_px: int) -> Float64s:
    """Points (n, 2) along the border that nothing near pulls along: there the photo stays."""
    x, y = np.meshgrid(*[np.linspace(0, size_px - 1, _BORDER_POINTS)] * 2)
    border = np.stack([x, y], -1)[(x % (size_px - 1) == 0) | (y % (size_px - 1) == 0)]
    gaps = np.hypot(*(border[:, None] - points).transpose(2, 0, 1))
    held = (gaps > _SLACK * np.hypot(*away.T)).all(1)
    return np.asarray(border[held], np.float64)


def _resampled(pixels: UInt8Image, away: Float64s) -> UInt8Image:
    """The photo at places that lie `away` (S, S, 2) from each pixel; hardly anything shrinks, so without a filter.

    Lanczos, since OpenCV's cubic weights differ with and without AVX.
    """
    at = np.arange(pixels.shape[0])
    places = np.rint((away + np.stack(np.meshgrid(at, at), -1)) * _PER_PX).clip(-32_768, 32_767 * _PER_PX)
    places = places.astype(np.int32)
    parts = places & (_PER_PX - 1)
    table = (parts[..., 1] * _PER_PX + parts[..., 0]).astype(np.uint16)
    whole = (places >> 5).astype(np.int16)
    return np.asarray(
        cv2.remap(pixels, whole, table, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
