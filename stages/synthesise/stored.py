"""A synthesised reference as it is stored in a sample: its pixels, its mask, and its part of the sample's JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.sample import FACE, OF_PHOTOS
from facerefs.stages.faces.geometry import pose
from facerefs.stages.synthesise.parameters import Synthesis, from_json
from facerefs.stages.synthesise.reference import synthesise_mask, synthesise_reference

_OF_THE_PHOTO = [field.name for field in FACE if field.when == OF_PHOTOS]  # nobody measured them anew


def stored_reference(
    truth: UInt8Image, target: Mapping[str, Any], described: Mapping[str, Any]
) -> tuple[UInt8Image, dict[str, Any]]:
    """The pixels (S, S, 3) and the JSON fields of the reference that `described["synthesis"]` makes from a target.

    truth: the pixels of the stored ground truth. target, described: the fields of the target and of the reference in
    the sample's JSON; `synthesis` is an object or its JSON. In the result, landmarks, yaw and pitch are those of the
    reference; fields that were measured on the photo only are left out. Raises ValueError for an invalid synthesis or
    invalid landmarks.
    """
    parameters = _parameters(described)
    pixels, landmarks = synthesise_reference(truth, target["landmarks"], parameters)
    turned = pose(landmarks)
    kept = {name: value for name, value in described.items() if name not in _OF_THE_PHOTO}
    return pixels, kept | {
        "synthesis": asdict(parameters),
        "landmarks": landmarks.astype(float).round(3).tolist(),
        "yaw": round(turned.yaw, 3),
        "pitch": round(turned.pitch, 3),
    }


def stored_mask(mask: UInt8Image, target: Mapping[str, Any], described: Mapping[str, Any]) -> UInt8Image:
    """The mask (S, S) of the reference that `stored_reference` makes. mask: of the target; the rest as there."""
    return synthesise_mask(mask, target["landmarks"], _parameters(described))


def _parameters(described: Mapping[str, Any]) -> Synthesis:
    synthesis = described["synthesis"]
    return from_json(synthesis if isinstance(synthesis, str) else json.dumps(synthesis))
