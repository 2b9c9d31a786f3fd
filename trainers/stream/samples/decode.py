"""Decode the files of a sample in a shard to a `Sample`; only the requested parts are decoded."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.fields import Numbers, UnitVector
from facerefs.schemas.operations import Resize, shown
from facerefs.schemas.sample import (
    BOX,
    BOXES,
    DEGRADED,
    EMBEDDING,
    GROUND_TRUTH,
    JSON,
    LANDMARKS,
    MASK,
    MAX_OPERATIONS,
    MAX_REFERENCES,
    NAME,
    REFERENCE,
    REFERENCE_MASK,
    SampleFile,
    read_json,
)
from facerefs.schemas.theta import Theta, from_records
from facerefs.trainers.stream.errors import BadSample
from facerefs.trainers.stream.samples.pixels import decode_gray, decode_rgb
from facerefs.trainers.stream.samples.sample import Face, Sample


def stored_references(files: Mapping[str, bytes]) -> int:
    """The number of references of a sample: its files ref0, ref1 and so on, up to the first gap."""
    count = 0
    while count < MAX_REFERENCES and REFERENCE.find(files, count) is not None:
        count += 1
    return count


def synthesised_references(files: Mapping[str, bytes]) -> frozenset[int]:
    """The numbers of the references made of the target, here or elsewhere. Raises BadSample for broken JSON."""
    listed = _references(_record(files))
    return frozenset(
        number
        for number, one in enumerate(listed)
        if isinstance(one, dict) and ("synthesis" in one or "elsewhere" in one)
    )


def decode_sample(
    files: Mapping[str, bytes],
    references: Sequence[int] | None = None,
    degraded: bool = True,
    size_px: int | None = None,
) -> Sample:
    """The decoded sample, with the references of these numbers (all if None), in this order.

    files: the sample's files by their names after the key (`gt.png`, `ref0.webp`, `lq.jpg`, `mask0.png`, `json`).
    `mask.png` is the mask of the ground truth, `mask0.png` that of `ref0`. degraded: whether to decode the stored
    degraded face. size_px: the required side of the face. Faces must be square. All arrays belong to the caller.

    Raises only BadSample, in one sentence: a missing or broken file, JSON of another format, an image whose size
    differs from the JSON, or an invalid theta.
    """
    record = _record(files)
    target = _mapping(record, "target")
    listed = _references(record)
    if len(listed) != stored_references(files):
        raise BadSample(f"the JSON lists {len(listed)} references, the files hold {stored_references(files)}")
    chosen = range(len(listed)) if references is None else references
    face = _face(files, GROUND_TRUTH, MASK, None, target, size_px)
    height, width = face.image.shape[:2]
    if height != width:
        raise BadSample(f"the ground truth is {width}x{height} px and not square")
    theta = _theta(record)
    return Sample(
        key=_text(record, "key"),
        identity=_text(record, "identity"),
        target=face,
        boxes=_boxes(target),
        references=tuple(_face(files, REFERENCE, REFERENCE_MASK, i, _item(listed, i), width) for i in chosen),
        degraded=_degraded(files, theta, width, "given" in record) if degraded else None,
        theta=theta,
        is_given="given" in record,
    )


def _record(files: Mapping[str, bytes]) -> Mapping[str, Any]:
    data = files.get(JSON.name("json"))
    if data is None:
        raise BadSample(f"the sample has no JSON among its files {shown(sorted(files))}")
    try:
        return read_json(data)
    except ValueError as error:
        raise BadSample(str(error)) from None


def _face(
    files: Mapping[str, bytes],
    kind: SampleFile,
    mask: SampleFile,
    number: int | None,
    record: Mapping[str, Any],
    size_px: int | None,
) -> Face:
    found = kind.find(files, number)
    if found is None:
        raise BadSample(f"the sample has no image {kind.numbered_kind(number)}: {', '.join(kind.extensions)}")
    image = decode_rgb(found, files[found], size_px, size_px)
    height, width = image.shape[:2]
    said = record.get("crop_size", width)
    if said != width:
        raise BadSample(f"{found} is {width} px wide, the JSON says {shown(said)}")
    masked = mask.find(files, number)
    return Face(
        image=image,
        landmarks=_array(LANDMARKS, record, "landmarks"),
        embedding=_embedding(record),
        mask=None if masked is None else decode_gray(masked, files[masked], height, width),
        parser="" if masked is None or "parser" not in record else _text(record, "parser"),
    )


def _degraded(files: Mapping[str, bytes], theta: Theta, size_px: int, is_given: bool) -> NDArray[np.uint8]:
    found = DEGRADED.find(files)
    if found is None:
        raise BadSample(f"the sample has no degraded face {DEGRADED.kind}: {', '.join(DEGRADED.extensions)}")
    if is_given:
        image = decode_rgb(found, files[found])
        if image.shape[0] != image.shape[1] or size_px % image.shape[0]:
            size = f"{image.shape[1]}x{image.shape[0]} px"
            raise BadSample(f"{found} is {size}, and no whole number of times smaller than the ground truth")
        return image
    width, height = next(
        ((op.out_w, op.out_h) for op in reversed(theta) if isinstance(op, Resize)), (size_px, size_px)
    )
    return decode_rgb(found, files[found], height, width)


def _theta(record: Mapping[str, Any]) -> Theta:
    value = record.get("theta")
    if not isinstance(value, list) or len(value) > MAX_OPERATIONS:
        raise BadSample(f"theta is a list of at most {MAX_OPERATIONS}, not {shown(value)}")
    try:
        return from_records(value)
    except ValueError as error:
        raise BadSample(f"theta does not fit: {error}") from None


def _boxes(target: Mapping[str, Any]) -> NDArray[np.float32]:
    boxes = _mapping(target, "boxes")
    return np.stack([_array(BOX, boxes, field.name) for field in BOXES])


def _embedding(record: Mapping[str, Any]) -> NDArray[np.float32]:
    if record.get("embedding") is None:
        return np.zeros(0, np.float32)
    return _array(EMBEDDING, record, "embedding")


def _array(kind: Numbers | UnitVector, record: Mapping[str, Any], name: str) -> NDArray[np.float32]:
    try:
        return kind.array(name, record.get(name))
    except ValueError as error:
        raise BadSample(str(error)) from None


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    if not isinstance(value, dict):
        raise BadSample(f"{name} is an object, not {shown(value)}")
    return value


def _references(record: Mapping[str, Any]) -> list[Any]:
    value = record.get("references")
    if not isinstance(value, list) or len(value) > MAX_REFERENCES:
        raise BadSample(f"references is a list of at most {MAX_REFERENCES}, not {shown(value)}")
    return value


def _item(listed: list[Any], index: int) -> Mapping[str, Any]:
    if not 0 <= index < len(listed):
        raise BadSample(f"the sample has {len(listed)} references and none of number {index}")
    return _mapping({"references": listed[index]}, "references")


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if fault := NAME.fault(name, value):  # keys are checked, too: users' own tars may have other keys
        raise BadSample(fault)
    return str(value)
