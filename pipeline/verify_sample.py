"""Hold the files of one sample against its row in the index. They may be hostile: nothing is decoded."""

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

from schemas.theta import from_json, to_json

_MAX_JSON_BYTES = 16 << 20
_MAX_SIDE_PX = 8192


def sample_faults(data: bytes, row: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a sample: its files, what its JSON says, the headers of its images.

    data: the sample as it lies in its shard. row: of `schemas.tables.SAMPLES`.
    """
    try:
        members = dict(_members(data))
    except (tarfile.TarError, ValueError, OSError, EOFError) as error:
        yield f"is not where the index says, or no plain tar ({error})"
        return
    stem = f"{row['key']}."
    files = {name.removeprefix(stem): content for name, content in members.items() if name.startswith(stem)}
    kinds = sorted(name.partition(".")[0] for name in files)
    wanted = sorted(["gt", "json", "lq", *(f"ref{i}" for i in range(len(row["references"])))])
    if "." in row["key"] or len(files) < len(members) or kinds != wanted:
        yield f"holds {', '.join(sorted(members))} and should hold {', '.join(wanted)}"
        return
    yield from _json_faults(files["json"], row)
    for name, content in files.items():
        if name != "json":
            yield from (f"has an image {name} that {what}" for what in _image_faults(name, content))


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The members, of which a sparse one could claim any size."""
    names: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for info in archive:
            file = archive.extractfile(info) if info.isreg() and not info.issparse() else None
            if file is None or info.name in names:
                raise ValueError(f"{info.name} is no plain file, or is there twice")
            names.add(info.name)
            yield info.name, file.read()


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
