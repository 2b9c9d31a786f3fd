"""From the files of a sample in a shard to a `Sample`, of which only what is wanted is decoded."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.operations import Resize, shown
from facerefs.schemas.theta import Theta, from_json
from facerefs.trainers.stream.errors import BadSample
from facerefs.trainers.stream.samples.pixels import decode_gray, decode_rgb
from facerefs.trainers.stream.samples.sample import Face, Sample

COMPONENTS = ("left_eye", "right_eye", "mouth")
MAX_JSON_BYTES = 4 * 2**20
MAX_REFERENCES = 64
_MAX_OPERATIONS = 200  # of a theta: 8 rounds of at most 10, and an ending
MAX_EMBEDDING = 4096
_MAX_TEXT = 512
_LOSSLESS = ("png", "webp")
_EXTENSIONS = (*_LOSSLESS, "jpg")
_FARTHEST = 1e6  # no landmark or box lies further out, in pixels
_UNIT = 0.01  # how far from 1 the length of an embedding may be


def stored_references(files: Mapping[str, bytes]) -> int:
    """How many references a sample holds: its files ref0, ref1 and so on, as far as they go without a gap."""
    count = 0
    while count < MAX_REFERENCES and _find(files, f"ref{count}", _EXTENSIONS) is not None:
        count += 1
    return count


def decode_sample(
    files: Mapping[str, bytes],
    references: Sequence[int] | None = None,
    degraded: bool = True,
    size_px: int | None = None,
) -> Sample:
    """Decode a sample, and of its references those of these numbers (all if None), in this order.

    files: the sample's files by their names after the key (`gt.png`, `ref0.webp`, `lq.jpg`, `mask0.png`, `json`).
    `mask.png` is the mask of the ground truth, `mask0.png` that of `ref0`. `degraded` says whether the stored
    degraded face is wanted. Faces must be square, and of `size_px` if it is given. All arrays are the caller's own.

    Raises BadSample, and nothing else, in one sentence: a missing or broken file, JSON of another make, an image of
    another size than the JSON says, a theta that does not fit.
    """
    record = _read_json(files)
    target = _mapping(record, "target")
    listed = _list(record, "references", MAX_REFERENCES)
    if len(listed) != stored_references(files):
        raise BadSample(f"the JSON lists {len(listed)} references, the files hold {stored_references(files)}")
    chosen = range(len(listed)) if references is None else references
    face = _face(files, "gt", "mask", target, size_px)
    height, width = face.image.shape[:2]
    if height != width:
        raise BadSample(f"the ground truth is {width}x{height} px and not square")
    theta = _theta(record)
    return Sample(
        key=_text(record, "key"),
        identity=_text(record, "identity"),
        target=face,
        boxes=_boxes(target),
        references=tuple(_face(files, f"ref{i}", f"mask{i}", _item(listed, i), width) for i in chosen),
        degraded=_degraded(files, theta, width) if degraded else None,
        theta=theta,
    )


def _read_json(files: Mapping[str, bytes]) -> Mapping[str, Any]:
    data = files.get("json")
    if data is None:
        raise BadSample(f"the sample has no JSON among its files {shown(sorted(files))}")
    if len(data) > MAX_JSON_BYTES:
        raise BadSample(f"the JSON has {len(data)} bytes, at most {MAX_JSON_BYTES} are read")
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadSample(f"the JSON cannot be read: {error}") from None
    if not isinstance(record, dict):
        raise BadSample(f"the JSON is an object, not {shown(record)}")
    return record


def _face(
    files: Mapping[str, bytes], name: str, mask: str, record: Mapping[str, Any], size_px: int | None
) -> Face:
    found = _find(files, name, _EXTENSIONS)
    if found is None:
        raise BadSample(f"the sample has no image {name}: {', '.join(_EXTENSIONS)}")
    image = decode_rgb(found, files[found], size_px, size_px)
    height, width = image.shape[:2]
    said = record.get("crop_size", width)
    if said != width:
        raise BadSample(f"{found} is {width} px wide, the JSON says {shown(said)}")
    masked = _find(files, mask, _LOSSLESS)
    return Face(
        image=image,
        landmarks=_numbers(record, "landmarks", (68, 2)),
        embedding=_embedding(record),
        mask=None if masked is None else decode_gray(masked, files[masked], height, width),
    )


def _degraded(files: Mapping[str, bytes], theta: Theta, size_px: int) -> NDArray[np.uint8]:
    found = _find(files, "lq", _EXTENSIONS)
    if found is None:
        raise BadSample(f"the sample has no degraded face lq: {', '.join(_EXTENSIONS)}")
    width, height = next(
        ((op.out_w, op.out_h) for op in reversed(theta) if isinstance(op, Resize)), (size_px, size_px)
    )
    return decode_rgb(found, files[found], height, width)


def _find(files: Mapping[str, bytes], name: str, extensions: Sequence[str]) -> str | None:
    return next((f"{name}.{extension}" for extension in extensions if f"{name}.{extension}" in files), None)


def _theta(record: Mapping[str, Any]) -> Theta:
    try:
        return from_json(json.dumps(_list(record, "theta", _MAX_OPERATIONS)))
    except (ValueError, RecursionError) as error:
        raise BadSample(f"theta does not fit: {error}") from None


def _boxes(target: Mapping[str, Any]) -> NDArray[np.float32]:
    boxes = _mapping(target, "boxes")
    return np.stack([_numbers(boxes, name, (4,)) for name in COMPONENTS])


def _embedding(record: Mapping[str, Any]) -> NDArray[np.float32]:
    if record.get("embedding") is None:
        return np.zeros(0, np.float32)
    vector = _numbers(record, "embedding", (len(_list(record, "embedding", MAX_EMBEDDING)),))
    length = math.sqrt(float(vector @ vector))
    if not abs(length - 1) <= _UNIT:
        raise BadSample(f"an embedding has length {length:.3g} and not 1")
    return vector


def _numbers(record: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    value = record.get(name)
    try:
        numbers = np.array(value)
    except ValueError:  # ragged
        numbers = np.zeros(0, object)
    if (
        numbers.dtype.kind not in "iuf"
        or numbers.shape != shape
        or not bool((np.abs(numbers) < _FARTHEST).all())
    ):  # false for NaN
        raise BadSample(f"{name} is not finite numbers of shape {shape}: {shown(value)}")
    return numbers.astype(np.float32)


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    if not isinstance(value, dict):
        raise BadSample(f"{name} is an object, not {shown(value)}")
    return value


def _list(record: Mapping[str, Any], name: str, longest: int) -> list[Any]:
    value = record.get(name)
    if not isinstance(value, list) or len(value) > longest:
        raise BadSample(f"{name} is a list of at most {longest}, not {shown(value)}")
    return value


def _item(listed: list[Any], index: int) -> Mapping[str, Any]:
    if not 0 <= index < len(listed):
        raise BadSample(f"the sample has {len(listed)} references and none of number {index}")
    return _mapping({"references": listed[index]}, "references")


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        raise BadSample(f"{name} is a short text, not {shown(value)}")
    return value
