"""The proportions of a head."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadShape:
    """The proportions of a head in mm; heights are measured upwards from the line between the eyes."""

    crown_y: float
    hairline_y: float
    temple_half: float
    cheek_half: float
    jaw_half: float
    jaw_y: float
    chin_half: float
    chin_y: float
    chin_depth: float
    flatness: float  # exponent of the cross-section: 2 is an ellipse, more is squarer
    brow_y: float
    brow_half: float
    brow_tilt: float
    brow_arch: float
    brow_ridge: float
    eye_x: float
    eye_half: float
    eye_open: float
    eye_tilt_deg: float
    eye_depth: float
    lid_crease: float
    nose_y: float  # of the nose's base
    nose_half: float
    nose_bridge: float
    nose_depth: float
    nose_upturn: float
    nose_hump: float
    mouth_y: float
    mouth_half: float
    upper_lip: float
    lower_lip: float
    mouth_curve: float
    cheekbone: float
    neck_half: float
    ear_size: float
    ear_out: float
