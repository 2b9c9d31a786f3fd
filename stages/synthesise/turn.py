"""Turn a head: the new positions of its points after a change of pose and expression, in the newly aligned photo."""

import math

import numpy as np

from facerefs.schemas.arrays import Float64s
from facerefs.stages.faces.geometry import apply_transform, ffhq_transform, scale_of
from facerefs.stages.synthesise.head import PosedHead
from facerefs.stages.synthesise.parameters import Synthesis

_CORNERS = {48: -1, 54: 1}  # of the mouth, and their sides
_SMILE_MM = (3.5, 3.5)  # out and up, at most
_BROWS = (slice(17, 22), slice(22, 27))
_RAISE_MM = 4.0  # of the brows, at most
_OUTWARDS = np.sign(np.arange(17.0) - 8)  # to which side of the photo each point of the contour lies
_CHEEK_MM, _NEAR_MM = 8.0, 20.0  # least width of the cheek beside the mouth; what is at its height
_FARTHEST_YAW_DEG, _FARTHEST_PITCH_DEG = (
    22.0,
    18.0,
)  # choice: a face that is turned already cannot turn much further
_REACH_MM = 13.0  # around the corners of the mouth, and above and below the brows


def turn_head(head: PosedHead, synthesis: Synthesis, size_px: int) -> PosedHead:
    """The turned head in pixels of the new, FFHQ-aligned photo of size_px, by scaled orthography."""
    rotation = _rotation(head.rotation, synthesis)
    middle = head.skin[:68].mean(0)
    skin = (_expressing(head, synthesis) - middle) @ rotation.T + middle
    outline = (head.outline - middle) @ rotation.T + middle
    transform = ffhq_transform(skin[:68, :2], size_px)
    for points in (skin, outline):
        points[:, :2] = apply_transform(transform, points[:, :2])
        points[:, 2] *= scale_of(transform)
    px_per_mm = head.px_per_mm * scale_of(transform)
    gaps = np.minimum(_gaps(head.skin, head.px_per_mm), _CHEEK_MM * head.px_per_mm) * scale_of(transform)
    lacking = np.maximum(0, gaps - _gaps(skin, px_per_mm))
    skin[:17, 0] += _OUTWARDS * lacking
    return PosedHead(skin, outline, rotation @ head.rotation, px_per_mm)


def _gaps(skin: Float64s, px_per_mm: float) -> Float64s:
    """How far (17,), in px, each point of the contour is beyond the outermost other landmark of about its height."""
    contour, inner = skin[:17], skin[17:68]
    near = np.abs(contour[:, None, 1] - inner[:, 1]) < _NEAR_MM * px_per_mm
    beyond = _OUTWARDS[:, None] * (contour[:, None, 0] - inner[:, 0])
    gaps: Float64s = np.where(near, beyond, np.inf).min(1)
    return gaps


def _expressing(head: PosedHead, synthesis: Synthesis) -> Float64s:
    """The points (n, 3) of the skin after a change of smile and brows."""
    skin = head.skin.copy()
    for brow in _BROWS:
        gap = ((head.skin[:, None] - head.skin[brow]) ** 2).sum(2).min(1) / head.px_per_mm**2
        way = head.rotation @ [0.0, -_RAISE_MM, 0.0] * head.px_per_mm * synthesis.brows
        skin += np.exp(-0.5 * gap / (_REACH_MM / 2) ** 2)[:, None] * way
    for corner, side in _CORNERS.items():
        gap = ((head.skin - head.skin[corner]) ** 2).sum(1) / head.px_per_mm**2
        way = head.rotation @ [side * _SMILE_MM[0], -_SMILE_MM[1], 0.0] * head.px_per_mm * synthesis.smile
        skin += np.exp(-0.5 * gap / _REACH_MM**2)[:, None] * way
    return skin


def _rotation(pose: Float64s, synthesis: Synthesis) -> Float64s:
    """The rotation (3, 3) that adds yaw and pitch to a head of this pose.

    The angles are those of `facerefs.stages.faces.geometry.Pose`: pitch first, then yaw, then roll.
    """
    yaw = math.atan2(pose[2, 0], math.hypot(pose[0, 0], pose[1, 0]))
    pitch = math.atan2(-pose[2, 1], pose[2, 2])
    lean = _about(2, math.atan2(pose[1, 0], pose[0, 0]))
    turn = _about(1, -_added(yaw, synthesis.yaw_deg, _FARTHEST_YAW_DEG))
    nod = _about(0, -_added(pitch, synthesis.pitch_deg, _FARTHEST_PITCH_DEG))
    rotation: Float64s = lean @ turn @ nod @ pose.T
    return rotation


def _added(angle_rad: float, more_deg: float, farthest_deg: float) -> float:
    """The angle with `more_deg` added; if that exceeds the maximum, half of it is subtracted instead."""
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
