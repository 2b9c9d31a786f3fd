"""Made-up faces whose cosines are as ArcFace's of real people: 5/50/95 % of the same 0.43/0.67/0.82."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.tables import FACES, LANDMARKS


def face_id(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()[:16] + "-0"


def unit(vectors: NDArray) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def embeddings(people: int, faces_each: int, seed: int) -> tuple[NDArray, NDArray]:
    """Who each face shows, and its embedding (128): the person's centre plus noise, more or less of it."""
    rng = np.random.default_rng(seed)
    centres = np.zeros((people, 128))
    centres[:, :32] = unit(rng.normal(size=(people, 32)))  # so that strangers' cosines reach 0.31 at 99 %
    who = np.repeat(np.arange(people), faces_each)
    clear = np.clip(rng.normal(0.67, 0.17, len(who)), 0.15, 0.95)[:, None]
    return who, unit(
        np.sqrt(clear) * centres[who] + np.sqrt(1 - clear) * unit(rng.normal(size=(len(who), 128)))
    )


def faces_table(
    vectors: NDArray[np.float32],
    labels: Sequence[str | None] | None = None,
    images: Sequence[str] | None = None,
    **columns: Sequence[object],
) -> pa.Table:
    """A table of faces; face i is `face_id(i)`. Other columns are null unless given."""
    count = len(vectors)
    given = {
        "id": [face_id(i) for i in range(count)],
        "image": images or [face_id(i)[:16] for i in range(count)],
        "label": labels,
        "embedding": vectors.tolist(),
        "embedder": ["arcface:test"] * count,
        "face_px": [200.0] * count,
        **columns,
    }
    arrays = {
        field.name: pa.nulls(count, field.type) if given.get(field.name) is None else given[field.name]
        for field in FACES
    }
    if "landmarks" in columns:
        flat = pa.array(np.asarray(columns["landmarks"], np.float32).ravel())
        arrays["landmarks"] = pa.FixedSizeListArray.from_arrays(flat, LANDMARKS.list_size)
    return pa.table(arrays, schema=FACES)
