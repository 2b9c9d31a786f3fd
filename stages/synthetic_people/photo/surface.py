"""The surface that each pixel of a photo shows, before shading."""

from dataclasses import dataclass

import cv2
import numpy as np

from facerefs.stages.synthetic_people.head.field import BOTTOM_MM, COLUMNS, HEIGHT, ROWS, THETA, TOP_MM, Array


@dataclass
class Surface:
    """Maps of one photo, (size, size[, C]); painters change them in place."""

    albedo: Array  # (H, W, 3) linear light
    gloss: Array  # (H, W) strength of the highlight, 0 to 1
    wet: Array  # (H, W) where it is an eyeball
    hair: Array  # (H, W) where it is hair
    local_normal: Array  # (3, H, W) in head coordinates
    moved_x: Array  # (H, W) frontal place in mm, with the expression
    moved_y: Array
    front: Array  # (H, W) bool: part of the face's front

    def window(self, x: float, y: float, half_x: float, half_y: float) -> tuple[slice, slice] | None:
        """Rows and columns that hold a rectangle of the frontal plane, or None if it is not in the photo."""
        step = 4
        near = (
            (np.abs(self.moved_x[::step, ::step] - x) < half_x + 2)
            & (np.abs(self.moved_y[::step, ::step] - y) < half_y + 2)
            & self.front[::step, ::step]
        )
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        if len(rows) == 0:
            return None
        return (
            slice(max(0, int(rows[0] - 1) * step), int(rows[-1] + 2) * step),
            slice(max(0, int(columns[0] - 1) * step), int(columns[-1] + 2) * step),
        )


def grid_normals(radius: Array) -> Array:
    """Unit normals (ROWS, COLUMNS, 3) of a height field, in head coordinates."""
    along = np.gradient(radius, axis=1) / np.float32(2 * np.pi / (COLUMNS - 1)) / np.maximum(radius, 8.0)
    up = -np.gradient(radius, axis=0) / np.float32((TOP_MM - BOTTOM_MM) / (ROWS - 1))
    sin, cos = np.sin(THETA), np.cos(THETA)
    normal = np.dstack([sin - along * cos, -up, cos + along * sin]).astype(np.float32)
    return np.asarray(normal / np.linalg.norm(normal, axis=2, keepdims=True), np.float32)


def ambient_occlusion(radius: Array) -> Array:
    """The share of ambient light that reaches the surface, (ROWS, COLUMNS), less where the surface is hollow."""
    wide = cv2.GaussianBlur(radius, (0, 0), 13) - radius
    near = cv2.GaussianBlur(radius, (0, 0), 5) - radius
    dark = np.exp(-0.050 * np.clip(wide, -2, 16) - 0.16 * np.clip(near, -2, 5))
    return np.clip(dark, 0.3, 1.1).astype(np.float32) * np.ones_like(HEIGHT)
