"""Replay a sample: make its degraded face, synthesised references and their masks again from its ground truth."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.operations import Resize
from facerefs.schemas.sample import (
    DEGRADED,
    GROUND_TRUTH,
    JSON,
    MASK,
    MAX_OPERATIONS,
    MAX_SIDE_PX,
    REFERENCE,
    REFERENCE_MASK,
    SampleFile,
    read_json,
)
from facerefs.schemas.theta import Theta, from_records
from facerefs.stages.images.degraded import fits
from facerefs.stages.images.encode import (
    JPEG_QUALITIES,
    decode_image,
    decode_mask,
    degraded_file,
    encode_pixels,
)
from facerefs.stages.synthesise.stored import stored_mask, stored_reference

_MAX_SYNTHESIS_PX = 2048
_JPEG = b"\xff\xd8"


def replay_fault(files: Mapping[str, bytes]) -> str | None:
    """The first difference found, or None. files: of a sample without faults, by name after the key, such as `gt.jpg`.

    A JPEG must be identical byte by byte, a PNG pixel by pixel: zlib may compress the same pixels differently.
    """
    stored_name = _name(files, DEGRADED)
    stored = files[stored_name]
    said = read_json(files[_name(files, JSON)])
    if "given" in said:
        return _given_fault(files, said)
    theta = from_records(said["theta"])
    try:
        pixels = decode_image(files[_name(files, GROUND_TRUTH)])
        if fault := _too_much(theta, max(pixels.shape)):
            return fault
        name, made = degraded_file(pixels, theta, stored_name == DEGRADED.name("jpg"))
        same = (
            made == stored
            if name == DEGRADED.name("jpg")
            else np.array_equal(decode_image(made), decode_image(stored))
        )
    except (OSError, ValueError) as error:
        return f"cannot be degraded again ({error})"
    if name != stored_name or not same:
        return "has a degraded face that its ground truth and theta do not give"
    return _synthesis_fault(files, pixels, said)


def is_given(files: Mapping[str, bytes]) -> bool:
    """Whether the degraded face of a sample without faults is a published image, which nobody can make again."""
    return "given" in read_json(files[_name(files, JSON)])


def _given_fault(files: Mapping[str, bytes], said: Mapping[str, Any]) -> str | None:
    """The fault of a sample with a published degraded image, of which only the size can be checked."""
    try:
        pixels = decode_image(files[_name(files, GROUND_TRUTH)])
        height, width = decode_image(files[_name(files, DEGRADED)]).shape[:2]
    except (OSError, ValueError) as error:
        return f"has an image that cannot be decoded ({error})"
    if not fits(width, height, pixels.shape[0]):
        return f"has a published degraded image of {width} x {height} px"
    return _synthesis_fault(files, pixels, said)


def _synthesis_fault(files: Mapping[str, bytes], truth: UInt8Image, said: Mapping[str, Any]) -> str | None:
    """The fault of the first synthesised reference that ground truth and synthesis do not reproduce; else None."""
    for number, reference in enumerate(said["references"]):
        if "synthesis" not in reference:
            continue
        if max(truth.shape) > _MAX_SYNTHESIS_PX:
            return f"has a synthesised reference of {max(truth.shape)} px"
        try:
            made, described = stored_reference(truth, said["target"], reference)
            stored = files[_name(files, REFERENCE, number)]
            same = described == reference and _same_image(made, stored)
            same_mask = _same_mask(files, number, said["target"], reference)
        except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
            return f"has a reference that cannot be synthesised again ({error!r:.200})"
        if not same:
            return f"has a synthesised reference ref{number} that its ground truth and synthesis do not give"
        if not same_mask:
            return f"has a mask mask{number} that the target's mask and the synthesis do not give"
    return None


def _name(files: Mapping[str, bytes], file: SampleFile, number: int | None = None) -> str:
    name = file.find(files, number)
    assert name is not None  # noqa: S101  # since the sample has no faults
    return name


def _same_image(made: UInt8Image, stored: bytes) -> bool:
    if stored.startswith(_JPEG):
        return any(encode_pixels(made, "jpeg", quality) == stored for quality in JPEG_QUALITIES)
    return np.array_equal(made, decode_image(stored))


def _same_mask(
    files: Mapping[str, bytes], number: int, target: Mapping[str, Any], reference: Mapping[str, Any]
) -> bool:
    """Whether the mask of a synthesised reference is the target's, moved; true in a set without masks."""
    if MASK.find(files) is None:
        return True
    made = stored_mask(decode_mask(files[_name(files, MASK)]), target, reference)
    return np.array_equal(made, decode_mask(files[_name(files, REFERENCE_MASK, number)]))


def _too_much(theta: Theta, side_px: int) -> str | None:
    """The fault of a theta too large to replay safely, or None: theta may be hostile, and take all memory or days."""
    if len(theta) > MAX_OPERATIONS:
        return f"has a theta of {len(theta)} operations"
    side = max([side_px, *(max(op.out_w, op.out_h) for op in theta if isinstance(op, Resize))])
    return f"has a theta that makes {side} px of {side_px}" if side > min(4 * side_px, MAX_SIDE_PX) else None
