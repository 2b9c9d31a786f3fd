"""Replay a sample: make its degraded face anew from its ground truth and theta, and compare."""

import json
from collections.abc import Mapping

import numpy as np

from schemas.theta import from_json
from stages.encode import decoded, degraded_files


def replay_fault(files: Mapping[str, bytes]) -> str | None:
    """What differs, or None. `files` are those of a sound sample, by what follows the key: `gt.jpg`, `lq.jpg`, `json`.

    A JPEG has to be the same byte by byte, a PNG pixel by pixel: zlib may pack the same pixels in other ways.
    """
    truth = next(data for name, data in files.items() if name.startswith("gt."))
    stored_name = next(name for name in files if name.startswith("lq."))
    stored = files[stored_name]
    theta = from_json(json.dumps(json.loads(files["json"])["theta"]))
    try:
        ((name, made),) = degraded_files([decoded(truth)], [theta], stored_name == "lq.jpg")
        same = made == stored if name == "lq.jpg" else np.array_equal(decoded(made), decoded(stored))
    except (OSError, ValueError) as error:
        return f"cannot be degraded again ({error})"
    if name != stored_name or not same:
        return "has a degraded face that its ground truth and theta do not give"
    return None
