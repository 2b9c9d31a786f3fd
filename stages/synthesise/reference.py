"""Synthesise a reference from its target: the same face with other pose, expression, light and age."""

import cv2
import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float64s, UInt8Image
from facerefs.stages.synthesise.ageing import age_skin, skin_mask
from facerefs.stages.synthesise.field import spline_at_nodes, upsample
from facerefs.stages.synthesise.head import PosedHead, fit_head
from facerefs.stages.synthesise.light import apply_brightness, exposure, shading
from facerefs.stages.synthesise.parameters import Synthesis
from facerefs.stages.synthesise.turn import turn_head

_PER_PX = 32  # steps of a sampling position in OpenCV's fixed-point remap
_FARTHEST = 4  # sides of the photo: maximum coordinate of a landmark
_BORDER_POINTS = 9  # along each side of the photo; they do not move
_SLACK = 2.0  # a border point is fixed if all points are this many times further away than they move


def synthesise_reference(
    pixels: UInt8Image, landmarks: npt.ArrayLike, synthesis: Synthesis
) -> tuple[UInt8Image, NDArray[np.float32]]:
    """A synthesised reference and its landmarks, aligned as all references are.

    pixels: uint8 (S, S, 3) RGB, FFHQ-aligned. landmarks: (68, 2) in its pixels. Returns the same shapes. A mean head
    is fitted to the landmarks, turned and projected; the photo is warped with it by a thin-plate spline, with a fixed
    border. The bytes are the same on every machine: real numbers are doubles, rounded once to 1/32 px and once to 8
    bits, and resampling is in integers. Raises ValueError for landmarks that do not span a face or are far outside.
    """
    size_px = pixels.shape[0]
    moved, skin, fields = _moved(landmarks, synthesis, size_px)
    shades = shading(fields[..., 2], synthesis, size_px, moved.px_per_mm)
    maps = upsample(np.dstack([fields[..., :2], shades]), size_px)
    image = _resampled(pixels, maps[..., :2]) / 255
    if synthesis.ageing:
        image = age_skin(image, skin_mask(moved.skin[skin, :2], size_px), synthesis.ageing)
    image = apply_brightness(image, maps[..., 2:] * exposure(synthesis))
    levels: UInt8Image = np.rint(image * 255).clip(0, 255).astype(np.uint8)
    return levels, moved.skin[:68, :2].astype(np.float32)


def synthesise_mask(mask: UInt8Image, landmarks: npt.ArrayLike, synthesis: Synthesis) -> UInt8Image:
    """The mask (S, S) of a synthesised reference: the target's, moved as its pixels are, each from the nearest one.

    Arguments and errors are those of `synthesise_reference`.
    """
    size_px = mask.shape[0]
    _, _, fields = _moved(landmarks, synthesis, size_px)
    at = np.arange(size_px)
    places = upsample(fields[..., :2], size_px) + np.stack(np.meshgrid(at, at), -1)
    across, down = np.rint(places).clip(0, size_px - 1).astype(np.intp).transpose(2, 0, 1)
    moved: UInt8Image = mask[down, across]
    return moved


def _moved(
    landmarks: npt.ArrayLike, synthesis: Synthesis, size_px: int
) -> tuple[PosedHead, NDArray[np.bool_], Float64s]:
    """The turned head, which of its points are visible before and after, and the fields of `_fields`."""
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2) or not (np.abs(points) <= _FARTHEST * size_px).all():
        raise ValueError("the landmarks are not 68 points in or near the face's image")
    head = fit_head(points)
    moved = turn_head(head, synthesis, size_px)
    skin = head.visible() & moved.visible()
    fields = _fields(head, moved, skin, size_px)
    if not np.isfinite(fields).all():
        raise ValueError("the landmarks do not span a face")
    return moved, skin, fields


def _fields(head: PosedHead, moved: PosedHead, skin: NDArray[np.bool_], size_px: int) -> Float64s:
    """At the nodes of the new photo: the offset (x, y) to its source in the old one, and the height, in px."""
    old = np.concatenate([head.skin[skin], head.outline])
    new = np.concatenate([moved.skin[skin], moved.outline])
    away = (old - new)[:, :2]
    border = _border(new[:, :2], away, size_px)
    values = np.concatenate([np.column_stack([away, -new[:, 2]]), np.zeros((len(border), 3))])
    return spline_at_nodes(np.concatenate([new[:, :2], border]), values, size_px)


def _border(points: Float64s, away: Float64s, size_px: int) -> Float64s:
    """Points (n, 2) along the border that are far from all moving points; there the photo stays unchanged."""
    x, y = np.meshgrid(*[np.linspace(0, size_px - 1, _BORDER_POINTS)] * 2)
    border = np.stack([x, y], -1)[(x % (size_px - 1) == 0) | (y % (size_px - 1) == 0)]
    gaps = np.hypot(*(border[:, None] - points).transpose(2, 0, 1))
    held = (gaps > _SLACK * np.hypot(*away.T)).all(1)
    return np.asarray(border[held], np.float64)


def _resampled(pixels: UInt8Image, away: Float64s) -> UInt8Image:
    """The photo sampled at an offset `away` (S, S, 2) from each pixel, without a filter, since hardly anything shrinks.

    By Lanczos, since OpenCV's cubic weights differ with and without AVX.
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
