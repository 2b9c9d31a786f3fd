"""Hold the files of one sample against its row in the index. They may be hostile: nothing is decoded."""

import io
import json
import re
import tarfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from facerefs.pipeline.storage.tar import BLOCK, read_members
from facerefs.schemas.theta import from_json, to_json
from facerefs.stages.synthesise.parameters import from_json as synthesis_from_json

_MAX_JSON_BYTES = 16 << 20
_MAX_SIDE_PX = 8192
_KEY = re.compile(r"[A-Za-z0-9_-]{1,90}")  # with what follows, a name that fits into a USTAR header
_FILE = re.compile(r"json|[a-z0-9]{1,8}\.(jpg|png|webp)")


def sample_faults(data: bytes, row: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a sample: its files, what its JSON says, the headers of its images.

    data: the sample as it lies in its shard. row: of `facerefs.schemas.tables.SAMPLES`.
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
    kinds = sorted(name.partition(".")[0] for name in files)
    wanted = sorted(["gt", "json", "lq", *(f"ref{i}" for i in range(len(row["references"])))])
    plain = _KEY.fullmatch(row["key"]) and all(map(_FILE.fullmatch, files))
    if not plain or len(files) < len(members) or list(members) != sorted(members) or kinds != wanted:
        yield f"holds {', '.join(sorted(members))} and should hold {', '.join(wanted)}"
        return
    yield from _json_faults(files["json"], row)
    for name, content in files.items():
        if name != "json":
            yield from (f"has an image {name} that {what}" for what in _image_faults(name, content))


def _json_faults(data: bytes, row: dict[str, Any]) -> Iterator[str]:
    if len(data) > _MAX_JSON_BYTES:
        yield f"has a JSON of {len(data)} bytes"
        return
    try:
        said = json.loads(data)
        theta = to_json(from_json(json.dumps(said["theta"])))
        faces = [said["target"]["face"], *(reference["face"] for reference in said["references"])]
        about = [said[name] for name in ("key", "split", "identity", "recipe")]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        yield f"has a JSON that cannot be used ({error!r:.200})"
        return
    if about != [row[name] for name in ("key", "split", "identity", "recipe")] or theta != row["theta"]:
        yield "has a JSON that says other things than the index"
    if faces != [row["target"], *row["references"]]:
        yield "has a JSON of other faces than the index"
    for number, reference in enumerate(said["references"]):
        if fault := _reference_fault(reference, said["target"]):
            yield f"has a reference ref{number} that {fault}"


def _reference_fault(reference: dict[str, Any], target: dict[str, Any]) -> str | None:
    """What is wrong with a reference: the target itself, or made from it in a way that cannot be."""
    own = reference["face"] == target["face"]
    if "synthesis" not in reference:
        return "is the target itself" if own else None
    if not own:
        return "is synthesised, and not from the target"
    try:
        synthesis_from_json(json.dumps(reference["synthesis"]))
        points = np.array(reference["landmarks"], np.float64)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        return f"is synthesised in no known way ({error})"
    size_px = target.get("crop_size")
    if not isinstance(size_px, int) or points.shape != (68, 2) or not (np.abs(points) < 2 * size_px).all():
        return "is synthesised and has no landmarks in its image"
    return None


def _image_faults(name: str, data: bytes) -> Iterator[str]:
    from PIL import Image

    formats = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
    wanted = formats.get(name.rpartition(".")[2])
    if wanted is None:
        yield "is neither jpg, png nor webp"
        return
    try:
        with Image.open(io.BytesIO(data), formats=[wanted]) as image:
            width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        yield f"cannot be read ({error})"
        return
    if max(width, height) > _MAX_SIDE_PX:
        yield f"has {width} x {height} px"
