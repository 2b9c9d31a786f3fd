"""Neck base, shoulders and clothes: a height field that faces the camera."""

from dataclasses import dataclass

import cv2
import numpy as np

from facerefs.stages.synthetic_people.head.field import Array, smooth_noise, smoothstep
from facerefs.stages.synthetic_people.person import Person
from facerefs.stages.synthetic_people.photo.trace import CAMERA_MM, Camera
from facerefs.stages.synthetic_people.view import View

BASE = np.array([[0.0, -143.0, 2.0]], np.float32)


@dataclass(frozen=True)
class Body:
    """Maps of the shoulders, (size, size[, 3])."""

    depth: Array  # camera depth in mm
    cover: Array  # 0 to 1
    cloth: Array  # 0 skin to 1 cloth
    normal: Array  # (3, H, W), camera coordinates
    albedo: Array  # (H, W, 3)


def place_body(person: Person, view: View, camera: Camera) -> Body:
    """The shoulders of a person below their neck in this photo."""
    size = camera.size_px
    pixel, base_depth = camera.project(BASE)
    step = 2
    at = np.arange(0, size, step, dtype=np.float32) + (step - 1) / 2
    px_per_mm = camera.px_per_mm * CAMERA_MM / (CAMERA_MM - base_depth[0])
    lean = np.radians(0.4 * view.roll_deg)
    right, up = (at[None, :] - pixel[0, 0]) / px_per_mm, (pixel[0, 1] - at[:, None]) / px_per_mm
    x = right * np.cos(lean) - up * np.sin(lean)
    y = up * np.cos(lean) + right * np.sin(lean)
    x = x + 0.25 * view.yaw_deg * smoothstep(-20, -120, y)
    depth, inside, cloth, ribs = _torso(person, x, y)
    full = (size, size)
    depth, inside, cloth, ribs = (
        cv2.resize(m.astype(np.float32), full) for m in (depth, inside, cloth, ribs)
    )
    normal = _normals(depth, px_per_mm)
    albedo = _colours(person, cloth, ribs, size)
    cover = np.clip(0.5 + inside * px_per_mm * 0.7, 0, 1)
    return Body((depth + base_depth[0]).astype(np.float32), cover, cloth, normal, albedo)


def _torso(person: Person, x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """Depth, distance inside the outline, share of cloth, ribbing; x, y in mm from the base of the neck."""
    across = np.abs(x)
    broad = 168 + 0.55 * (person.shape.jaw_half - 48) * 3
    line_x = np.array([0, 44, 62, 90, 130, broad - 12, broad + 10, broad + 26, broad + 34])
    line_y = np.array([46, 26, 4, -8, -19, -34, -58, -105, -190])
    outline = np.interp(across, line_x, line_y) - 3000 * (across > broad + 40)
    under = np.maximum(outline - y, 0)
    depth = -22 + 66 * (1 - np.exp(-under / 30)) - 0.00075 * x * x + 0.05 * np.clip(under, 0, 120)
    hollow = 5 * np.exp(-(((across - 34) / 26) ** 2) - ((y + 24) / 7) ** 2)
    depth -= hollow
    neckline, collar = _neckline(person.clothes, across)
    cloth = smoothstep(0.8, -0.8, y - neckline)
    rng = np.random.default_rng(np.random.SeedSequence([person.seed, person.index, 5]))
    folds = smooth_noise(rng, x.shape, (x.shape[0] / 4, x.shape[1] / 9)) + 0.5 * smooth_noise(
        rng, x.shape, (x.shape[0] / 9, x.shape[1] / 16)
    )
    ribs = smoothstep(-collar - 1.2, -collar + 1.2, y - neckline) * cloth
    roll = 1 - ((y - neckline + collar / 2) / (collar / 2)) ** 2
    depth = (
        depth
        + cloth * (4.0 + 2.2 * folds * smoothstep(10, 60, neckline - y))
        + (4.5 + 13 * (person.clothes == "turtleneck")) * ribs * np.clip(roll, 0.4, 1)
    )
    return depth, outline - y, cloth, ribs


def _neckline(clothes: str, across: Array) -> tuple[Array, float]:
    """Height of the neckline in mm over the distance from the middle, and the width of the collar."""
    if clothes == "vee":
        return -62 + 1.34 * across - 0.004 * across**2, 9.0
    if clothes == "turtleneck":
        return 12 + 20 * (across / 60) ** 2, 24.0
    if clothes == "shirt":
        return np.where(across < 4, -30, -34 + 1.05 * across), 26.0
    return -26 + 42 * (across / 66) ** 2.4, 11.0


def _normals(depth: Array, px_per_mm: float) -> Array:
    depth = cv2.GaussianBlur(depth, (0, 0), 1.6)
    right = np.gradient(depth, axis=1) * px_per_mm
    down = np.gradient(depth, axis=0) * px_per_mm
    normal = np.stack([-right, down, np.ones_like(depth)])
    return np.asarray(normal / np.linalg.norm(normal, axis=0), np.float32)


def _colours(person: Person, cloth: Array, ribs: Array, size: int) -> Array:
    rng = np.random.default_rng(np.random.SeedSequence([person.seed, person.index, 6]))
    weave = (
        1
        + 0.05 * smooth_noise(rng, (size, size), (1.6, 1.6))
        + 0.03 * smooth_noise(rng, (size, size), (30, 30))
    )
    tone = np.asarray(person.cloth_colour, np.float32)
    fabric = tone * weave[..., None] * (1 - 0.14 * ribs)[..., None]
    skin = np.asarray(person.skin.colour, np.float32)
    return (skin + (fabric - skin) * cloth[..., None]).astype(np.float32)
