"""Where a head goes when it turns, nods and smiles, once its photo is aligned anew."""

import math

import numpy as np

from facerefs.schemas.arrays import Float64s
from facerefs.stages.faces.geometry import apply, ffhq_transform, scale_of
from facerefs.stages.synthesise.head import Head
from facerefs.stages.synthesise.parameters import Synthesis

_CORNERS = {48: -1, 54: 1}  # of the mouth, and their sides
_SMILE_MM = (3.5, 3.5)  # out and up, at most
_FARTHEST_YAW_DEG, _FARTHEST_PITCH_DEG = 25.0, 20.0  # choice: a turned face has little left to turn away
_REACH_MM = 13.0  # about the corners


def turned(head: Head, synthesis: Synthesis, size_px: int) -> Head:
    """The head in the pixels of the new, FFHQ-aligned photo of size_px, by scaled orthography."""
    rotation = _rotation(head.rotation, synthesis)
    middle = head.skin[:68].mean(0)
    skin = (_smiling(head, synthesis.smile) - middle) @ rotation.T + middle
    outline = (head.outline - middle) @ rotation.T + middle
    transform = ffhq_transform(skin[:68, :2], size_px)
    for points in (skin, outline):
        points[:, :2] = apply(transform, points[:, :2])
        points[:, 2] *= scale_of(transform)
    return Head(skin, outline, rotation @ head.rotation, head.px_per_mm * scale_of(transform))


def _smiling(head: Head, smile: float) -> Float64s:
    skin = head.skin.copy()
    for corner, side in _CORNERS.items():
        gap = ((head.skin - head.skin[corner]) ** 2).sum(1) / head.px_per_mm**2
        way = head.rotation @ [side * _SMILE_MM[0], -_SMILE_MM[1], 0.0] * head.px_per_mm * smile
        skin += np.exp(-0.5 * gap / _REACH_MM**2)[:, None] * way
    return skin


def _rotation(pose: Float64s, synthesis: Synthesis) -> Float64s:
    """The rotation (3, 3) that takes a head of this pose to the same with yaw and pitch added.

    The angles are those of `facerefs.stages.faces.geometry.Pose`: the head nods, then turns, then leans.
    """
    yaw = math.atan2(pose[2, 0], math.hypot(pose[0, 0], pose[1, 0]))
    pitch = math.atan2(-pose[2, 1], pose[2, 2])
    lean = _about(2, math.atan2(pose[1, 0], pose[0, 0]))
    turn = _about(1, -_added(yaw, synthesis.yaw_deg, _FARTHEST_YAW_DEG))
    nod = _about(0, -_added(pitch, synthesis.pitch_deg, _FARTHEST_PITCH_DEG))
    rotation: Float64s = lean @ turn @ nod @ pose.T
    return rotation


def _added(angle_rad: float, more_deg: float, farthest_deg: float) -> float:
    """The angle with more added; where that leads further away than a face turns here, back by half as much."""
    more = math.radians(more_deg)
    farthest = max(math.radians(farthest_deg), abs(angle_rad))
    return angle_rad + (more if abs(angle_rad + more) <= farthest else -more / 2)


def _about(axis: int, angle_rad: float) -> Float64s:
    """Rotation (3, 3) about an axis, by the right-hand rule."""
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    rotation = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    rotation[[first, second], [first, second]] = cosine
    rotation[first, second], rotation[second, first] = -sine, sine
    return rotation
