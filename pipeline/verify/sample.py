"""Check the files of one sample against its row in the index. They may be hostile: no image is decoded but masks."""

import io
import tarfile
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from facerefs.pipeline.storage.tar import BLOCK, read_members
from facerefs.pipeline.verify.mask import mask_fault
from facerefs.schemas.operations import shown
from facerefs.schemas.sample import (
    GROUND_TRUTH,
    IMAGE_TYPES,
    JSON,
    KEY,
    MASK,
    MAX_IMAGE_BYTES,
    MAX_SIDE_PX,
    REFERENCE,
    REFERENCE_MASK,
    files_of,
    json_fault,
    kinds_of,
    read_json,
)
from facerefs.schemas.theta import from_records, to_json

_PILLOW = {one.extension: one.pillow for one in IMAGE_TYPES.values()}


def sample_faults(data: bytes, row: dict[str, Any], parsers: Collection[str] = ()) -> Iterator[str]:
    """The faults of a sample: of its files, its JSON, the headers of its images, and its masks.

    data: the bytes of the sample in its shard. row: a row of `facerefs.schemas.tables.SAMPLES`. parsers: the engines of
    the masks, as in the manifest; without any, the set has no masks.
    """
    try:
        members = read_members(data)
    except tarfile.TarError as error:
        yield f"is not where the index says, or no plain tar ({error})"
        return
    if len(data) != sum(BLOCK + len(content) + -len(content) % BLOCK for content in members.values()):
        yield "is not one USTAR member after the other"
        return
    stem = f"{row['key']}."
    files = {name.removeprefix(stem): content for name, content in members.items() if name.startswith(stem)}
    count = len(row["references"])
    kinds = files_of(masks=bool(parsers))
    found = [file.find(files) for file in kinds if not file.numbered]
    found += [file.find(files, number) for file in kinds if file.numbered for number in range(count)]
    whole = KEY.fault("key", row["key"]) is None and len(files) == len(members)
    if not whole or list(members) != sorted(members) or set(found) != set(files):
        yield f"holds {', '.join(sorted(members))} and should hold {', '.join(kinds_of(count, bool(parsers)))}"
        return
    yield from _json_faults(files[JSON.name("json")], row, parsers)
    faults = [
        f"has an image {name} that {what}"
        for name, content in files.items()
        if name != JSON.name("json")
        for what in _image_faults(name, content)
    ]
    yield from faults
    if parsers and not faults:
        yield from _mask_faults(files, count)


def _mask_faults(files: dict[str, bytes], references: int) -> Iterator[str]:
    of_faces = [(GROUND_TRUTH.find(files), MASK.find(files))]
    of_faces += [(REFERENCE.find(files, i), REFERENCE_MASK.find(files, i)) for i in range(references)]
    for face, mask in of_faces:
        if face and mask and (what := mask_fault(files[mask], files[face])):
            yield f"has a mask {mask} that {what}"


def _json_faults(data: bytes, row: dict[str, Any], parsers: Collection[str]) -> Iterator[str]:
    try:
        said = read_json(data)
        if fault := json_fault(said):
            raise ValueError(fault)
    except ValueError as error:
        yield f"has a JSON that cannot be used ({error!s:.300})"
        return
    theta = to_json(from_records(said["theta"]))
    faces = [said["target"]["face"], *(reference["face"] for reference in said["references"])]
    about = ("key", "split", "identity", "recipe")
    if any(said[name] != row[name] for name in about) or theta != row["theta"]:
        yield "has a JSON that says other things than the index"
    if faces != [row["target"], *row["references"]]:
        yield "has a JSON of other faces than the index"
    for face in (said["target"], *said["references"]):
        if face.get("parser") not in (parsers or (None,)):
            yield f"has a JSON in which {shown(face.get('parser'))} made a mask, of which the manifest says nothing"
            break
    for number, reference in enumerate(said["references"]):
        if fault := _reference_fault(reference, said["target"]):
            yield f"has a reference ref{number} that {fault}"


def _reference_fault(reference: dict[str, Any], target: dict[str, Any]) -> str | None:
    """The fault of a reference, or None: a photo that is the target itself, or an invalid synthesised reference."""
    own = reference["face"] == target["face"]
    if "synthesis" not in reference:
        return "is the target itself" if own else None
    if not own:
        return "is synthesised, and not from the target"
    if not (np.abs(reference["landmarks"]) < 2 * target["crop_size"]).all():
        return "is synthesised and has no landmarks in its image"
    return None


def _image_faults(name: str, data: bytes) -> Iterator[str]:
    from PIL import Image

    if len(data) > MAX_IMAGE_BYTES:
        yield f"has {len(data)} bytes"
        return
    try:
        with Image.open(io.BytesIO(data), formats=[_PILLOW[name.rpartition(".")[2]]]) as image:
            width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        yield f"cannot be read ({error})"
        return
    if max(width, height) > MAX_SIDE_PX:
        yield f"has {width} x {height} px"
