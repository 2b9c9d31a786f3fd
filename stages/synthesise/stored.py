"""A synthesised reference as a sample holds it: its pixels, and what the sample's JSON says of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from facerefs.schemas.arrays import UInt8Image
from facerefs.stages.faces.geometry import pose
from facerefs.stages.synthesise.parameters import from_json
from facerefs.stages.synthesise.reference import reference

_OF_THE_PHOTO = (
    "embedding",
    "embedder",
    "roll",
    "transform",
    "detector",
    "landmarker",
)  # nobody measured them anew


def stored_reference(
    truth: UInt8Image, target: Mapping[str, Any], said: Mapping[str, Any]
) -> tuple[UInt8Image, dict[str, Any]]:
    """UInt8Image (S, S, 3) and description of the reference that `said["synthesis"]` makes from a target.

    truth: the pixels that the stored ground truth decodes to. target and said: what the sample's JSON says of the
    target, and of the reference; `synthesis` as an object or its JSON. In the description, landmarks, yaw and pitch
    are the reference's own; what was measured of the photo alone is left out. Raises ValueError for a synthesis or
    landmarks that cannot be.
    """
    synthesis = said["synthesis"]
    if not isinstance(synthesis, str):
        synthesis = json.dumps(synthesis)
    parameters = from_json(synthesis)
    pixels, landmarks = reference(truth, target["landmarks"], parameters)
    turned = pose(landmarks)
    kept = {name: value for name, value in said.items() if name not in _OF_THE_PHOTO}
    return pixels, kept | {
        "synthesis": asdict(parameters),
        "landmarks": landmarks.astype(float).round(3).tolist(),
        "yaw": round(turned.yaw, 3),
        "pitch": round(turned.pitch, 3),
    }
