"""Render a photo of a synthetic person, with its landmarks and moles as ground truth."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facerefs.stages.synthetic_people.head.expression import Expression, make_expression, move_surface
from facerefs.stages.synthetic_people.head.field import Array, depth_at, polar, sample_grid, smoothstep
from facerefs.stages.synthetic_people.head.hair import HairMaps, grow_hair
from facerefs.stages.synthetic_people.head.landmarks import eyes, mouth, place_landmarks
from facerefs.stages.synthetic_people.head.shape import above_jaw, head_radius
from facerefs.stages.synthetic_people.head.skin import SkinTextures, paint_skin
from facerefs.stages.synthetic_people.person import Person, draw_person
from facerefs.stages.synthetic_people.photo.backdrop import paint_backdrop
from facerefs.stages.synthetic_people.photo.body import Body, place_body
from facerefs.stages.synthetic_people.photo.eyes import paint_eye
from facerefs.stages.synthetic_people.photo.light import (
    Illumination,
    Material,
    key_light_direction,
    shade,
    shade_hair,
    tone_map,
)
from facerefs.stages.synthetic_people.photo.mouth import paint_mouth
from facerefs.stages.synthetic_people.photo.surface import Surface, ambient_occlusion, grid_normals
from facerefs.stages.synthetic_people.photo.trace import Camera, intersect, light_visibility, make_camera
from facerefs.stages.synthetic_people.view import View, draw_view

__all__ = ["MarkInPhoto", "Person", "Rendering", "View", "draw_person", "draw_view", "render"]


@dataclass(frozen=True)
class MarkInPhoto:
    """A mole in the photo, in pixels. visible: not turned away, not covered."""

    x: float
    y: float
    radius_px: float
    visible: bool


@dataclass(frozen=True)
class Rendering:
    """A photo and its ground truth. Pixel centres are at integers."""

    image: NDArray[np.uint8]  # (size, size, 3) RGB
    landmarks: NDArray[np.float32]  # (68, 2) pixels, order of iBUG 300-W
    marks: tuple[MarkInPhoto, ...]


@dataclass(frozen=True)
class _Head:
    """The parts of a head that all photos of one person share."""

    bare: Array
    coat: HairMaps
    complexion: SkinTextures
    face: Array  # (ROWS, COLUMNS) 1 on face and skull, 0 on the neck


@lru_cache(maxsize=4)
def _head(person: Person) -> _Head:
    bare = head_radius(person.shape)
    return _Head(bare, grow_hair(person, bare), paint_skin(person), above_jaw(person.shape))


@dataclass(frozen=True)
class _RayHits:
    """For each pixel, what its ray hits: maps (size, size)."""

    bare: Array  # the head's surfaces, without and with hair, over (height, angle)
    covered: Array
    depth: Array  # of the head, camera coordinates, mm
    place: Array  # (3, H, W) of the head, head coordinates, mm
    hit: Array  # (3, H, W) of head or body, whichever is in front
    body: Body
    body_share: Array
    share: Array  # of head and body against the background
    edge: Array  # where one part hides another


def render(person: Person, view: View, size_px: int = 512) -> Rendering:
    """The photo of a person with this pose, expression, light and camera. The same arguments give the same bytes."""
    head, camera, expression = _head(person), make_camera(view, size_px), make_expression(person.shape, view)
    seen = _trace_rays(person, head, expression, camera)
    surface, strand = _surface(person, head, expression, seen)
    for eye in eyes(expression):
        paint_eye(surface, eye, person, view, 1 / camera.px_per_mm)
    paint_mouth(surface, mouth(expression), person, 1 / camera.px_per_mm)
    light = _light(person, view, camera, seen, (surface, strand))
    backdrop = paint_backdrop(view, size_px)
    light = backdrop + (light - backdrop) * seen.share[..., None]
    light += seen.edge[..., None] * (cv2.GaussianBlur(light, (0, 0), 0.8) - light)
    landmarks = _project(camera, seen.bare, place_landmarks(expression))
    return Rendering(tone_map(light, view), landmarks, _marks(person, camera, expression, seen, surface.hair))


def _trace_rays(person: Person, head: _Head, expression: Expression, camera: Camera) -> _RayHits:
    """The nearest hit of each pixel's ray, on the head or on the body."""
    bare = move_surface(head.bare, expression)
    covered = head.coat.surface(bare)
    depth, gap, edge = intersect(covered, camera)
    body = place_body(person, expression.view, camera)
    head_share = np.clip(0.5 - gap * camera.px_per_mm, 0, 1)
    in_front = smoothstep(-3.0, 3.0, body.depth - depth) * body.cover
    body_share = np.where(head_share > 0, np.maximum(in_front, body.cover * (1 - head_share)), body.cover)
    start, slope = camera.rays(1)
    place = start + depth * slope
    hit = start + np.where(body_share > 0.5, body.depth, depth) * slope
    share = np.maximum(head_share, body.cover)
    return _RayHits(
        bare=bare,
        covered=covered,
        depth=depth,
        place=place,
        hit=hit,
        body=body,
        body_share=body_share,
        share=share,
        edge=edge,
    )


def _surface(person: Person, head: _Head, expression: Expression, seen: _RayHits) -> tuple[Surface, Array]:
    """The maps of the head before eyes and mouth are painted, and the strand noise of its hair."""
    x, y, z = seen.place
    _, theta = polar(x, z)
    normal = np.moveaxis(sample_grid(grid_normals(seen.covered), theta, y), 2, 0).copy()
    neutral_x, neutral_y = expression.neutral(x, y)
    face = head.complexion
    plain = np.asarray(person.skin.colour, np.float32)
    part = smoothstep(0.1, 0.6, sample_grid(head.face, theta, neutral_y))[..., None]
    albedo = plain + (face.look_up(face.albedo, neutral_x, neutral_y) - plain) * part
    slope = face.look_up(face.relief, neutral_x, neutral_y)
    front = (z > 24) & (y < 115) & (y > -140)
    normal[0] -= slope[..., 0] * front
    normal[1] -= slope[..., 1] * front
    normal /= np.linalg.norm(normal, axis=0)
    oily = np.exp(-((x / 26) ** 2)) * smoothstep(-70, -30, y)
    fur = face.look_up(face.fur, neutral_x, neutral_y)
    gloss = ((0.34 + 0.26 * oily + 0.2 * person.skin.melanin) * (1 - 0.7 * fur)).astype(np.float32)
    strand, hair = head.coat.strands_at(theta, y)
    dry = np.zeros_like(x)
    surface = Surface(
        albedo=albedo, gloss=gloss, wet=dry, hair=hair, local_normal=normal, moved_x=x, moved_y=y, front=front
    )
    return surface, strand


def _light(
    person: Person, view: View, camera: Camera, seen: _RayHits, painted: tuple[Surface, Array]
) -> Array:
    """The light reflected by head and body, (H, W, 3)."""
    (surface, strand), body, of_body = painted, seen.body, seen.body_share
    reach = light_visibility(seen.covered, seen.hit, camera.rotation.T @ key_light_direction(view))
    _, theta = polar(seen.place[0], seen.place[2])
    open_ = sample_grid(ambient_occlusion(seen.covered), theta, seen.place[1])
    length = np.linalg.norm(surface.local_normal, axis=0) + 1e-6
    normal = np.einsum("ij,jhw->ihw", camera.rotation, surface.local_normal / length)
    mixed = normal + (body.normal - normal) * of_body
    mixed /= np.linalg.norm(mixed, axis=0) + 1e-6
    material = Material(
        albedo=surface.albedo + (body.albedo - surface.albedo) * of_body[..., None],
        gloss=surface.gloss + (0.25 * (1 - body.cloth) - surface.gloss) * of_body,
        wet=surface.wet * (1 - of_body),
        skin=1 - body.cloth * of_body,
    )
    out = shade(material, Illumination(mixed, reach, np.where(of_body > 0.5, 1.0, open_)), view)
    alpha = surface.hair * (1 - of_body)
    rows, columns = np.flatnonzero((alpha > 0).any(1)), np.flatnonzero((alpha > 0).any(0))
    if len(rows):
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        exposure = Illumination(normal, reach, open_).crop(box)
        colour = np.asarray(person.hair.colour, np.float32)
        fur = shade_hair(colour, strand[box], camera.rotation[:, 1], exposure, view)
        out[box] += (fur - out[box]) * alpha[box][..., None]
    return out


def _project(camera: Camera, bare: Array, places: Array) -> Array:
    """Pixels (N, 2) of surface points given by their frontal positions (N, 2) in mm."""
    depth = depth_at(bare, places[None, :, 0], places[None, :, 1])[0]
    pixels, _ = camera.project(np.column_stack([places, depth]).astype(np.float32))
    return pixels


def _marks(
    person: Person, camera: Camera, expression: Expression, seen: _RayHits, hair: Array
) -> tuple[MarkInPhoto, ...]:
    """The moles in the photo. A mole is visible if its pixel shows its place, uncovered and not edge-on."""
    moles = person.skin.moles
    places = np.array([[m.x_mm, m.y_mm] for m in moles], np.float32)
    x, y = expression.moved(places[None, :, 0], places[None, :, 1])
    z = depth_at(seen.bare, x, y)
    pixels, depth = camera.project(np.stack([x[0], y[0], z[0]], 1))
    _, theta = polar(x, z)
    facing = (sample_grid(grid_normals(seen.bare), theta, y)[0] @ camera.rotation.T)[:, 2]
    limit = camera.size_px - 1
    column, row = np.clip(np.round(pixels).astype(int), 0, limit).T
    inside = ((pixels >= 0) & (pixels <= limit)).all(1)
    clear = (np.abs(seen.depth[row, column] - depth) < 5) & (hair[row, column] < 0.2)
    visible = inside & clear & (seen.body_share[row, column] < 0.2) & (facing > 0.25)
    return tuple(
        MarkInPhoto(float(px[0]), float(px[1]), mole.radius_mm * camera.px_per_mm, bool(shown))
        for mole, px, shown in zip(moles, pixels, visible, strict=True)
    )
