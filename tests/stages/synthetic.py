"""Synthetic faces whose cosines are as ArcFace's of real people: 5/50/95 % of the same 0.43/0.67/0.82.

Drawn here (1,000 people x 10): 0.43/0.66/0.85; of strangers 50/99/99.9/100 %: 0.00/0.31/0.41/0.70. Real strangers:
-0.02/0.31/-/0.37 of 7,000 pairs; of as many pairs of 10 people drawn here the largest is 0.42.
"""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facerefs.schemas.tables import FACES, LANDMARKS


def face_id(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()[:16] + "-0"


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def embeddings(people: int, faces_each: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The person of each face, and its embedding (128): the person's centre plus noise, more or less of it."""
    rng = np.random.default_rng(seed)
    centres = np.zeros((people, 128))
    centres[:, :32] = unit(rng.normal(size=(people, 32)))  # so that strangers' cosines reach 0.31 at 99 %
    person = np.repeat(np.arange(people), faces_each)
    clear = np.clip(rng.normal(0.67, 0.17, len(person)), 0.15, 0.95)[:, None]
    return person, unit(
        np.sqrt(clear) * centres[person] + np.sqrt(1 - clear) * unit(rng.normal(size=(len(person), 128)))
    )


def faces_table(
    vectors: NDArray[np.float32],
    labels: Sequence[str | None] | None = None,
    images: Sequence[str] | None = None,
    **columns: Sequence[object],
) -> pa.Table:
    """A table of faces with their labels; face i is `face_id(i)`. Other columns are null unless given."""
    count = len(vectors)
    given = {
        "id": [face_id(i) for i in range(count)],
        "image": images or [face_id(i)[:16] for i in range(count)],
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
    label = pa.array(labels or [None] * count, pa.string())
    return pa.table(arrays, schema=FACES).append_column("label", label)


def labels_of(faces: pa.Table) -> pa.Table:
    """The table of the labels of such faces."""
    return faces.select(["id", "label"]).rename_columns(["face", "label"])


def group_sizes(people: int, seed: int) -> NDArray[np.int64]:
    """How many faces each person has: a long tail, from single faces to hundreds, 9 on average, median 6."""
    sizes = np.random.default_rng(seed).lognormal(np.log(6), 0.9, people)
    return np.clip(np.rint(sizes), 1, 500).astype(np.int64)


def crowd(
    sizes: NDArray[np.int64], seed: int, varied: float = 0.0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The person of each face, and its embedding (128), float32, in no order; person i has sizes[i] faces.

    varied: the share of people who have two or three styles, of which each face shows one: the mean cosine is
    0.67 within a style and 0.47 across.
    """
    rng = np.random.default_rng(seed)
    people = len(sizes)
    centres = unit(rng.normal(size=(people, 32)))
    styles = np.where(rng.random(people) < varied, rng.integers(2, 4, people), 1)
    first = np.cumsum(styles) - styles
    person_of_style = np.repeat(np.arange(people), styles)
    own = np.where(styles > 1, np.sqrt(0.7), 1)[person_of_style][:, None]
    seen = unit(
        own * centres[person_of_style] + np.sqrt(1 - own**2) * unit(rng.normal(size=(styles.sum(), 32)))
    )
    person = rng.permutation(np.repeat(np.arange(people), sizes))
    style = first[person] + rng.integers(0, styles[person])
    clear = np.clip(rng.normal(0.67, 0.17, len(person)), 0.15, 0.95).astype(np.float32)[:, None]
    vectors = np.sqrt(1 - clear) * unit(rng.standard_normal((len(person), 128), np.float32))
    vectors[:, :32] += np.sqrt(clear) * seen[style]
    return person, unit(vectors)
