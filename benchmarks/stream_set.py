"""A set of shards to read: rendered people with a little noise, as photos have it, written by the stage `shard`."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from facerefs.pipeline.dataset import card
from facerefs.pipeline.inputs.shard import ShardInput
from facerefs.pipeline.runner.part_pool import PartTask
from facerefs.pipeline.runner.runner import PartWorker
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import FACES, LABELS, PAIRS, SOURCES, loaded
from facerefs.stages.shard import Shard
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import render
from facerefs.stages.synthetic_people.view import draw_view

SIZE_PX = 512
PEOPLE = 16
PHOTOS = 16  # of each, which differ in their noise
_NOISE_SIGMA = 2.0
_EMBEDDING = 512


def make_set(
    folder: Path,
    size_px: int = SIZE_PX,
    people: int = PEOPLE,
    photos: int = PHOTOS,
    dimensions: int = _EMBEDDING,
) -> Path:
    """256 samples of one reference each, in shards of about 12 MB so that workers can share them.

    people, photos: their number, and that of the samples of each. dimensions: length of the embeddings, random ones.
    """
    storage = Storage(str(folder))
    stage = Shard(shard_mb=12, val_share=0, test_share=0)
    faces, labels, sources, pairs = [], [], [], []
    for person in range(people):
        rendered = render(draw_person(0, person), draw_view(0, person, 0), size_px)
        for number in range(photos):
            face = _face_id(person, number)
            name = f"person {person}"
            faces.append(_face(person, number, rendered.image, rendered.landmarks, dimensions))
            labels.append({"face": face})
            sources.append({"key": faces[-1]["key"], "licence": "CC0"})
            reference = _face_id(person, (number + 1) % photos)
            about = {"target": face, "reference": reference, "rank": 0}
            pairs.append(about | {"identity": name, "similarity": 0.5})
    for table, rows, schema in (
        ("faces", faces, loaded(FACES)),
        ("labels", labels, LABELS),
        ("sources", sources, SOURCES),
        ("pairs", pairs, PAIRS),
    ):
        with storage.writing(table, "part-a", "fingerprint") as part:
            part.add(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema))
    plan = ShardInput(storage, stage)
    worker = PartWorker(stage, plan, storage)
    for part_name in plan.names():
        worker.work(PartTask(part_name, "fingerprint"))
    card.write(storage, stage)
    return folder / "samples"


def _face(
    person: int,
    number: int,
    image: NDArray[np.uint8],
    landmarks: NDArray[np.floating[Any]],
    dimensions: int,
) -> dict[str, Any]:
    rng = np.random.default_rng([person, number])
    noisy = image + rng.normal(0, _NOISE_SIGMA, image.shape)
    buffer = io.BytesIO()
    Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
    embedding = rng.normal(size=dimensions)
    face = _face_id(person, number)
    return {
        "id": face,
        "image": face[:16],
        "key": f"person {person}/{number}.jpg",
        "crop": buffer.getvalue(),
        "crop_size": len(image),
        "landmarks": np.asarray(landmarks, np.float32).ravel().tolist(),
        "embedding": (embedding / np.linalg.norm(embedding)).astype(np.float32).tolist(),
        "embedder": "toy",
    }


def _face_id(person: int, number: int) -> str:
    return hashlib.sha256(f"{person}/{number}".encode()).hexdigest()[:16] + "-0"
