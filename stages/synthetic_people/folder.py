"""Write a folder of synthetic people, like a user's own folder of photos, with the truth beside it."""

import io
import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import Rendering, render
from facerefs.stages.synthetic_people.view import View, draw_view

JPEG_QUALITY = 95


def write_people(
    out: Path, identities: int, per_identity: int, size_px: int, seed: int, workers: int = 1
) -> Iterator[Path]:
    """Write OUT/<person>/<nnn>.jpg and, once all photos are there, OUT/truth.jsonl; yields each photo's path.

    A file gets its name only when it is complete. The number of worker processes does not change the files.
    A line of truth.jsonl holds `path` (relative to OUT), `identity`, `yaw`, `pitch` and `roll` in degrees,
    `landmarks` (68 pairs of pixels, order of iBUG 300-W) and `marks` (moles: x, y, radius_px, visible).
    """
    out.mkdir(parents=True, exist_ok=True)
    truth = []
    write_one = partial(_write_person, out, per_identity, size_px, seed)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for photos in pool.map(write_one, range(identities)):
            for photo in photos:
                truth.append(json.dumps(photo) + "\n")
                yield out / str(photo["path"])
    _write(out / "truth.jsonl", "".join(truth).encode())


def _write_person(
    out: Path, per_identity: int, size_px: int, seed: int, index: int
) -> list[dict[str, object]]:
    person = draw_person(seed, index)
    (out / person.name).mkdir(exist_ok=True)
    truth = []
    for number in range(per_identity):
        view = draw_view(seed, index, number)
        rendering = render(person, view, size_px)
        path = Path(person.name) / f"{number:03d}.jpg"
        _write(out / path, _jpeg(rendering))
        truth.append(_truth(path, person.name, view, rendering))
    return truth


def _jpeg(rendering: Rendering) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rendering.image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(data)
    unfinished.replace(path)


def _truth(path: Path, identity: str, view: View, rendering: Rendering) -> dict[str, object]:
    return {
        "path": path.as_posix(),
        "identity": identity,
        "yaw": round(view.yaw_deg, 3),
        "pitch": round(view.pitch_deg, 3),
        "roll": round(view.roll_deg, 3),
        "landmarks": [[round(float(x), 2), round(float(y), 2)] for x, y in rendering.landmarks],
        "marks": [
            {"x": round(m.x, 2), "y": round(m.y, 2), "radius_px": round(m.radius_px, 2), "visible": m.visible}
            for m in rendering.marks
        ],
    }
