"""Trace rays against a height field: camera rays to the surface, and shadow rays from it to the light."""

from dataclasses import dataclass

import cv2
import numpy as np

from facerefs.stages.synthetic_people.head.field import Array, polar, sample_grid
from facerefs.stages.synthetic_people.view import View

CAMERA_MM = 1100.0
PIVOT = np.array([0.0, -55.0, -15.0], np.float32)  # the head nods and turns about this place
STEP_MM = 7.0
NEAR_MM, FAR_MM = 130.0, -112.0
FRAME_Y_MM = -6.0  # height that a head without offset shows in the middle of the photo
HEAD_WIDTH_MM = 152.0


@dataclass(frozen=True)
class Camera:
    """Head coordinates (x right, y up, z to the camera, mm) to pixels, whose centres lie at whole numbers."""

    rotation: Array  # (3, 3), head to camera
    px_per_mm: float
    centre: tuple[float, float]
    size_px: int

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixels (N, 2) and camera depth (N,) in mm of head points (N, 3)."""
        seen = (points - PIVOT) @ self.rotation.T + PIVOT
        zoom = self.px_per_mm * CAMERA_MM / (CAMERA_MM - seen[:, 2])
        pixels = np.stack([self.centre[0] + zoom * seen[:, 0], self.centre[1] - zoom * seen[:, 1]], 1)
        return pixels.astype(np.float32), seen[:, 2]

    def rays(self, step_px: int) -> tuple[Array, Array]:
        """Lines in head coordinates: start at camera depth 0 and change per mm to the camera, (3, H, W)."""
        at = np.arange(0, self.size_px, step_px, dtype=np.float32) + (step_px - 1) / 2
        u = (at[None, :] - self.centre[0]) / self.px_per_mm + 0 * at[:, None]
        v = (self.centre[1] - at[:, None]) / self.px_per_mm + 0 * at[None, :]
        start = np.stack([u - PIVOT[0], v - PIVOT[1], np.full_like(u, -PIVOT[2])])
        slope = np.stack([-u / CAMERA_MM, -v / CAMERA_MM, np.ones_like(u)])
        back = self.rotation.T
        start = np.einsum("ij,jhw->ihw", back, start) + PIVOT[:, None, None]
        return start.astype(np.float32), np.einsum("ij,jhw->ihw", back, slope).astype(np.float32)


def make_camera(view: View, size_px: int) -> Camera:
    yaw, pitch, roll = np.radians([view.yaw_deg, view.pitch_deg, view.roll_deg])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    lean = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    px_per_mm = view.scale * size_px / HEAD_WIDTH_MM
    centre = (
        (0.5 + view.offset[0]) * size_px - 0.5,
        (0.5 + view.offset[1]) * size_px - 0.5 + FRAME_Y_MM * px_per_mm,
    )
    return Camera((lean @ nod @ turn).astype(np.float32), px_per_mm, centre, size_px)


def _outside(radius: Array, place: Array) -> Array:
    """How far places (3, H, W) lie outside the surface, along the radius, in mm."""
    rho, theta = polar(place[0], place[2])
    return rho - sample_grid(radius, theta, place[1])


def _march(radius: Array, start: Array, slope: Array) -> tuple[Array, Array, Array]:
    """Depth of the first hit (or closest approach), the closest approach in mm, whether the ray hits."""
    shape = start.shape[1:]
    depth = np.full(shape, FAR_MM, np.float32)
    nearest = depth.copy()
    closest = np.full(shape, 1e3, np.float32)
    before = closest.copy()
    hit = np.zeros(shape, bool)
    for z in np.arange(NEAR_MM, FAR_MM, -STEP_MM, dtype=np.float32):
        gap = _outside(radius, start + z * slope)
        crosses = (gap < 0) & ~hit
        share = np.clip(before / (before - gap + 1e-6), 0, 1)
        np.copyto(depth, z + STEP_MM * (1 - share), where=crosses)
        hit |= crosses
        closer = gap < closest
        np.copyto(nearest, z, where=closer)
        np.copyto(closest, gap, where=closer)
        before = gap
    return np.where(hit, depth, nearest), closest, hit


def intersect(radius: Array, camera: Camera) -> tuple[Array, Array, Array]:
    """The intersections of rays and surface: ray marching on every second pixel, and on all where the depth jumps.

    Returns, (size, size) each: camera depth in mm (of the closest approach where a ray misses), how far
    the ray passes outside the surface in mm (negative: it hits), and where depth jumps, 0 to 1.
    """
    step, full = 2, (camera.size_px, camera.size_px)
    coarse, closest, hit = _march(radius, *camera.rays(step))
    kernel = np.ones((3, 3), np.uint8)
    jump = (cv2.dilate(coarse, kernel) - cv2.erode(coarse, kernel) > 7.0) & (
        cv2.erode(hit.astype(np.uint8), kernel) > 0
    )
    depth, closest, edge = (
        _enlarge(coarse, full),
        _enlarge(closest, full),
        _enlarge(jump.astype(np.float32), full),
    )
    start, slope = camera.rays(1)
    for _ in range(2):
        gap = _outside(radius, start + depth * slope)
        depth = np.where(closest < 0, depth - 0.75 * np.clip(gap, -4, 4), depth)
    rows, columns = np.nonzero(edge > 0)
    if len(rows):
        again = np.stack([rows, columns])
        again = np.pad(again, ((0, 0), (0, -len(rows) % 256)), mode="edge").reshape(2, -1, 256)
        ray = (
            np.ascontiguousarray(start[:, again[0], again[1]]),
            np.ascontiguousarray(slope[:, again[0], again[1]]),
        )
        depth[again[0], again[1]], _, _ = _march(radius, *ray)
    return depth, closest, edge


def _enlarge(values: Array, size: tuple[int, int]) -> Array:
    return cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)


def light_visibility(radius: Array, place: Array, towards: Array, step_px: int = 4) -> Array:
    """The share of the key light, 0 to 1, that reaches places (3, H, W) in head coordinates, with soft shadows."""
    size = place.shape[1:]
    at = np.ascontiguousarray(place[:, ::step_px, ::step_px])
    clear: Array = np.ones(at.shape[1:], np.float32)
    for distance in (5, 9, 14, 20, 27, 35, 45, 58, 75, 95):
        gap = _outside(radius, at + np.float32(distance) * towards[:, None, None])
        clear = np.minimum(clear, gap / (0.16 * distance) + 1.0)
    clear = np.clip(clear, 0, 1)
    clear = cv2.GaussianBlur(clear, (0, 0), 1.2 * size[0] / 640)
    return _enlarge(clear, (size[1], size[0]))
