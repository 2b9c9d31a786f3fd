"""Shading of skin, hair, eyes and cloth, and tone mapping to the final photo."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facerefs.stages.synthetic_people.head.field import Array
from facerefs.stages.synthetic_people.view import View

CURVE_STEPS, CURVE_END = 16384, 4.0
WRAP = {"skin": (0.34, 0.20, 0.14), "other": (0.20, 0.20, 0.20)}


def _power_of_two(base: Array, doublings: int) -> Array:
    """`base` to the power of 2 ** doublings."""
    for _ in range(doublings):
        base = base * base
    return base


def key_light_direction(view: View) -> Array:
    """Unit vector to the key light, camera coordinates."""
    azimuth, elevation = np.radians([view.light_azimuth_deg, view.light_elevation_deg])
    return np.array(
        [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)],
        np.float32,
    )


def light_colour(view: View) -> Array:
    """Colour of the key light."""
    warm = view.light_warmth
    return np.array([1 + 0.07 * warm, 1.0, 1 - 0.13 * warm], np.float32) * np.float32(
        2.1 * view.light_strength
    )


@dataclass(frozen=True)
class Illumination:
    """The illumination of pixels."""

    normal: Array  # (3, H, W) camera coordinates
    reach: Array  # (H, W) share of the key light that arrives
    open_: Array  # (H, W) share of the surrounding light that arrives

    def crop(self, box: tuple[slice, slice]) -> "Illumination":
        return Illumination(self.normal[:, *box], self.reach[box], self.open_[box])


@dataclass(frozen=True)
class Material:
    """The material of pixels."""

    albedo: Array  # (H, W, 3) linear light
    gloss: Array  # (H, W) strength of the highlight
    wet: Array  # (H, W) share of eyeball
    skin: Array  # (H, W) share of skin, which light enters before it leaves


def shade(material: Material, exposure: Illumination, view: View) -> Array:
    """The light reflected by skin, cloth and eyes, (H, W, 3)."""
    normal, reach, open_ = exposure.normal, exposure.reach, exposure.open_
    albedo, skin = material.albedo, material.skin
    key, colour = key_light_direction(view), light_colour(view)
    facing = np.einsum("i,ihw->hw", key, normal)
    half = key + np.array([0, 0, 1], np.float32)
    glance = np.clip(np.einsum("i,ihw->hw", half / np.linalg.norm(half), normal), 0, 1)
    around = view.fill * (0.82 + 0.22 * normal[1] - 0.06 * normal[0] * np.sign(key[0])) * open_
    back = np.array([-0.75 * np.sign(key[0]), 0.25, -0.35], np.float32)
    edge = np.clip(np.einsum("i,ihw->hw", back, normal), 0, 1) * (1 - np.clip(normal[2], 0, 1)) ** 2
    out = np.empty_like(albedo)
    for channel in range(3):
        wrap = WRAP["other"][channel] + (WRAP["skin"][channel] - WRAP["other"][channel]) * skin
        lit = np.clip((facing + wrap) / (1 + wrap), 0, 1)
        soft = reach + (0.10, 0.03, 0.0)[channel] * skin * (1 - reach)
        bounce = 1 + (0.10, 0.0, -0.06)[channel] * skin * (1 - open_)
        light = colour[channel] * lit * soft + 2.3 * around * bounce
        light = light + view.rim * 2.6 * edge
        out[..., channel] = albedo[..., channel] * light * 0.62
    broad = _power_of_two(glance, 4)
    sheen = material.gloss * (0.16 * broad + 0.10 * broad * _power_of_two(broad, 1)) * (0.25 + 0.75 * reach)
    rim_sheen = 0.05 * material.gloss * view.rim * edge
    sparkle = material.wet * (2.4 * np.clip((glance - 0.988) / 0.005, 0, 1))
    out += ((sheen + rim_sheen + sparkle)[..., None] * colour * 0.55).astype(np.float32)
    return out


def shade_hair(colour: Array, strand: Array, up: Array, exposure: Illumination, view: View) -> Array:
    """The light reflected by hair, (H, W, 3), after Kajiya and Kay (1989): highlights run across the strands.

    Strands hang along the surface, away from `up` (3,); `strand` (H, W) is their unit-variance noise.
    """
    normal, reach, open_ = exposure.normal, exposure.reach, exposure.open_
    key, tint = key_light_direction(view), light_colour(view)
    rise = np.einsum("i,ihw->hw", up, normal)
    tangent = normal * (rise + 0.16 * strand) - up[:, None, None]
    tangent /= np.linalg.norm(tangent, axis=0) + 1e-6
    half = key + np.array([0, 0, 1], np.float32)
    along = np.einsum("i,ihw->hw", half / np.linalg.norm(half), tangent)
    facing = np.clip((np.einsum("i,ihw->hw", key, normal) + 0.35) / 1.35, 0, 1)
    gleam = _power_of_two(np.clip(1 - along**2, 0, 1), 5) * (0.6 + 0.4 * np.clip(strand, -1.5, 1.5))
    tone = np.clip(1 + 0.30 * strand, 0.35, 1.9)
    light = (
        tint * (facing * reach)[..., None] + 2.3 * view.fill * (open_ * (0.8 + 0.25 * normal[1]))[..., None]
    )
    back = np.array([-0.75 * np.sign(key[0]), 0.35, -0.35], np.float32)
    edge = np.clip(np.einsum("i,ihw->hw", back, normal), 0, 1) * (1 - np.clip(normal[2], 0, 1))
    light = light + (view.rim * 1.8 * edge)[..., None]
    base = colour * tone[..., None]
    shine = (0.05 + 1.1 * np.sqrt(colour)) * (np.clip(gleam, 0, 1) * facing * reach)[..., None] * 0.30
    return np.asarray(base * light * 0.62 + shine * tint * 0.5, np.float32)


def _film_curve() -> Array:
    """sRGB values in [0, 1] of evenly spaced linear light from 0 to CURVE_END."""
    light = (np.arange(CURVE_STEPS, dtype=np.float32) + 0.5) * (CURVE_END / CURVE_STEPS)
    tone = 1 - np.exp(-1.27 * light)
    return np.asarray(np.where(tone < 0.0031308, 12.92 * tone, 1.055 * tone ** (1 / 2.4) - 0.055), np.float32)


def tone_map(light: Array, view: View) -> NDArray[np.uint8]:
    """The photo, uint8 (H, W, 3) sRGB, of linear light: a film-like shoulder, a slight vignette, grain."""
    size = light.shape[0]
    at = np.linspace(-1, 1, size, dtype=np.float32)
    light = light * (1 - 0.10 * (at[:, None] ** 2 + at[None, :] ** 2))[..., None]
    rng = np.random.default_rng(np.random.SeedSequence([view.noise_seed, 9]))
    steps = np.clip(light * (CURVE_STEPS / CURVE_END), 0, CURVE_STEPS - 1).astype(np.int32)
    encoded = _film_curve().take(steps)
    grain = rng.standard_normal((size, size, 3), np.float32) * view.noise
    grain = 0.5 * grain + cv2.GaussianBlur(grain, (0, 0), 0.7)
    photo: NDArray[np.uint8] = np.clip((encoded + grain) * 255 + 0.5, 0, 255).astype(np.uint8)
    return photo
