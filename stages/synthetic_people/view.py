"""The parameters of one photo: what differs between photos of one person."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class View:
    """Pose, expression, light, background and camera of one photo.

    Positive yaw looks towards the photo's right edge, positive pitch looks up, positive roll is clockwise.
    `smile`, `mouth_open` and `blink` run from 0 to 1; `gaze` from -1 to 1, right and up.
    `scale` is the width of the head as a share of the photo's width, `offset` its distance from the centre, likewise.
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    smile: float = 0.0
    mouth_open: float = 0.0
    blink: float = 0.0
    brow_raise: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)
    scale: float = 0.5
    offset: tuple[float, float] = (0.0, 0.0)
    light_azimuth_deg: float = -30.0  # positive: from the right of the photo
    light_elevation_deg: float = 30.0
    light_warmth: float = 0.0  # -1 cool to 1 warm
    light_strength: float = 1.0
    fill: float = 0.35  # strength of the ambient light
    rim: float = 0.3
    backdrop: str = "gradient"
    backdrop_hue: float = 0.6
    backdrop_seed: int = 0
    noise: float = 0.004
    noise_seed: int = 0


LIMITS_DEG = np.array([24.0, 8.0, 10.0])


def _draw_pose(rng: np.random.Generator) -> tuple[float, float, float]:
    """Yaw, pitch and roll within an ellipsoid, so that they are not all at their limits at once."""
    pose = rng.normal(0, 0.45, 3)
    yaw, pitch, roll = LIMITS_DEG * pose / max(1.0, float(np.linalg.norm(pose)))
    return float(yaw), float(pitch), float(roll)


BACKDROPS = ("gradient", "bokeh", "room", "garden")


def draw_view(seed: int, person_index: int, view_index: int) -> View:
    """The parameters of the photo with this number of this person: a pure function of the arguments."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, person_index, view_index, 2]))
    smile = float(np.clip(rng.normal(0.35, 0.35), 0, 1))
    blinks = rng.random() < 0.08
    yaw, pitch, roll = _draw_pose(rng)
    return View(
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        smile=smile,
        mouth_open=float(np.clip(rng.normal(0.0, 0.28), 0, 1)),
        blink=float(rng.uniform(0.75, 1.0) if blinks else rng.uniform(0, 0.2)),
        brow_raise=float(np.clip(rng.normal(0, 0.4), -0.6, 1)),
        gaze=(float(np.clip(rng.normal(0, 0.3), -1, 1)), float(np.clip(rng.normal(0, 0.2), -1, 1))),
        scale=float(rng.uniform(0.46, 0.56)),
        offset=(float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.04, 0.04))),
        light_azimuth_deg=float(rng.choice([-1, 1]) * rng.uniform(8, 58)),
        light_elevation_deg=float(rng.uniform(15, 48)),
        light_warmth=float(rng.uniform(-0.6, 1.0)),
        light_strength=float(rng.uniform(0.9, 1.15)),
        fill=float(rng.uniform(0.44, 0.62)),
        rim=float(max(0.0, rng.uniform(-0.4, 0.8))),
        backdrop=str(rng.choice(BACKDROPS)),
        backdrop_hue=float(rng.random()),
        backdrop_seed=int(rng.integers(2**31)),
        noise=float(rng.uniform(0.002, 0.009)),
        noise_seed=int(rng.integers(2**31)),
    )
