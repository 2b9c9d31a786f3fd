"""Replay a sample: make its degraded face anew from its ground truth and theta, and compare."""

import json
from collections.abc import Mapping

import numpy as np

from schemas.operations import Resize
from schemas.theta import Theta, from_json
from stages.encode import decoded, degraded_files

_MAX_OPERATIONS = 200  # 8 rounds of at most 10, and an ending
_MAX_SIDE_PX = 4096  # of crops of 1024, of which a recipe makes four times as much at most


def replay_fault(files: Mapping[str, bytes]) -> str | None:
    """What differs, or None. `files` are those of a sound sample, by what follows the key: `gt.jpg`, `lq.jpg`, `json`.

    A JPEG has to be the same byte by byte, a PNG pixel by pixel: zlib may pack the same pixels in other ways.
    """
    truth = next(data for name, data in files.items() if name.startswith("gt."))
    stored_name = next(name for name in files if name.startswith("lq."))
    stored = files[stored_name]
    theta = from_json(json.dumps(json.loads(files["json"])["theta"]))
    try:
        pixels = decoded(truth)
        if fault := _too_much(theta, max(pixels.shape)):
            return fault
        ((name, made),) = degraded_files([pixels], [theta], stored_name == "lq.jpg")
        same = made == stored if name == "lq.jpg" else np.array_equal(decoded(made), decoded(stored))
    except (OSError, ValueError) as error:
        return f"cannot be degraded again ({error})"
    if name != stored_name or not same:
        return "has a degraded face that its ground truth and theta do not give"
    return None


def _too_much(theta: Theta, side_px: int) -> str | None:
    """What no recipe draws and would take all memory, or days: theta may be a stranger's."""
    if len(theta) > _MAX_OPERATIONS:
        return f"has a theta of {len(theta)} operations"
    side = max([side_px, *(max(op.out_w, op.out_h) for op in theta if isinstance(op, Resize))])
    return f"has a theta that makes {side} px of {side_px}" if side > min(4 * side_px, _MAX_SIDE_PX) else None
