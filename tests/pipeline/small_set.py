"""A small training set, made straight from tables of faces and pairs: no photos, no engines, no Ray."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from facerefs.pipeline.dataset import card
from facerefs.pipeline.inputs.shard import ShardInput
from facerefs.pipeline.runner.part_pool import PartTask
from facerefs.pipeline.runner.runner import PartWorker
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.tar import read_members
from facerefs.schemas.tables import BUNDLE, FACES, LABELS, PAIRS, SAMPLES, SOURCES, loaded
from facerefs.stages.images.encode import encode_mask
from facerefs.stages.shard import Shard

SIZE_PX = 64
SMALL = Shard(shard_mb=0.05, val_share=0.2, test_share=0.2)
MEASURED = {
    "crop_size": SIZE_PX,
    "transform": [1.0, 0.0, -8.0, 0.0, 1.0, -8.0],
    "face_px": 64.0,
    "yaw": 1.0,
    "pitch": -2.0,
    "roll": 0.5,
    "embedding": [0.6, 0.8],
    "detector": "toy",
    "landmarker": "toy",
    "embedder": "toy",
}
COMPARED = {"landmark_distance": 0.1, "similarity": 0.5, "pose_gap": 3.0, "strategy": "landmark_nearest"}
STATED = {"url": "https://a.example/1.jpg", "page": "https://a.example/1", "attribution": "Ann, CC0"}
Files = dict[str, bytes]


def face_id(person: int, number: int) -> str:
    return hashlib.sha256(f"{person}/{number}".encode()).hexdigest()[:16] + "-0"


def crop(person: int, number: int) -> bytes:
    """A PNG of soft blobs and a little noise."""
    rng = np.random.default_rng([person, number])
    soft = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8)).resize((SIZE_PX, SIZE_PX), 3)
    pixels = np.asarray(soft).astype(int) + rng.integers(-4, 5, (SIZE_PX, SIZE_PX, 3))
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def mask(number: int) -> bytes:
    """A mask, of the engine `toy` or, for odd numbers, of the hull: its left part."""
    values = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    values[:, : SIZE_PX // 2 + number] = 255
    return encode_mask(values)


def write_tables(
    folder: Path | str, people: int = 8, photos: int = 2, references: int = 1, masks: bool = False
) -> Storage:
    """Faces with their crops, their photos, and as pairs the next faces of the same person."""
    storage = Storage.at(folder)
    faces, labels, sources, pairs = [], [], [], []
    for person in range(people):
        ids = [face_id(person, number) for number in range(photos)]
        for number, face in enumerate(ids):
            points = np.random.default_rng([person, number]).uniform(20, 45, 136).tolist()
            key = f"person {person}/{number}.jpg"
            image = face[:16].ljust(64, "0")
            about = {
                "id": face,
                "image": image,
                "key": key,
                "crop": crop(person, number),
                "landmarks": points,
            }
            masked = {"mask": mask(number), "parser": ("toy", "hull")[number % 2]} if masks else {}
            faces.append(about | MEASURED | masked)
            labels.append({"face": face, "label": f"person {person}"})
            sources.append({"key": key, "licence": "CC0"} | STATED)
            pairs += [
                {"target": face, "reference": ids[(number + rank + 1) % photos], "rank": rank}
                | {"identity": f"person {person}"}
                | COMPARED
                for rank in range(references)
            ]
    for table, rows, schema in (
        ("faces", faces, loaded(FACES)),
        ("labels", labels, LABELS),
        ("sources", sources, SOURCES),
        ("pairs", pairs, PAIRS),
    ):
        with storage.writing(table, "part-a", "fingerprint") as part:
            part.add(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema))
    return storage


def make_set(folder: Path, shard: Shard = SMALL, **tables: int) -> Path:
    """Write the tables, the shards and all that lies beside them; returns the folder of the samples."""
    make_samples(write_tables(folder, **tables), shard)
    return folder / "samples"


def make_samples(storage: Storage, shard: Shard = SMALL) -> None:
    """Write the shards of a build whose tables are there, and all that lies beside them."""
    plan = ShardInput(storage, shard)
    worker = PartWorker(shard, plan, storage)
    for name in plan.names():
        worker.work(PartTask(name, "fingerprint"))
    card.write(storage, shard)


def files_of(tar: Path) -> dict[str, Files]:
    """The files of each sample of a shard, by its key and by what follows it."""
    found: dict[str, Files] = {}
    for name, data in read_members(tar.read_bytes()).items():
        key, _, kind = name.partition(".")
        found.setdefault(key, {})[kind] = data
    return found


def rewrite(
    folder: Path, name: str, change: Callable[[dict[str, Any], Files], None], samples: int = 1
) -> None:
    """Change the first samples of a shard, and make index, manifest and all hashes agree with it again."""
    storage = Storage(str(folder))
    rows = storage.read("samples", name).to_pylist()
    stored = files_of(folder / "samples" / f"{name}.tar")
    for row in rows[:samples]:
        change(row, stored[row["key"]])
    for row, files in zip(rows, stored.values(), strict=True):
        row["files"] = [{"name": f"{row['key']}.{kind}", "data": data} for kind, data in files.items()]
    schema = SAMPLES.set(SAMPLES.get_field_index("files"), pa.field("files", BUNDLE))
    with storage.writing("samples", name, "fingerprint") as part:
        part.add(pa.Table.from_pylist(rows, schema))
    card.write(storage, SMALL)
