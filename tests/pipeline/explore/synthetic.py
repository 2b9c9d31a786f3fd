"""The tables of a build of any size, without photos: each photo has one face and one sample, a person has twenty."""

import numpy as np
import pyarrow as pa

from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.arrays import Int64s
from facerefs.schemas.tables import TABLES

PART_ROWS = 4096
FACES_OF_PERSON = 20


def write_build(storage: Storage, rows: int) -> None:
    """The tables of a build with so many photos, each with one face and one sample."""
    storage.write_text("build.yaml", "source: synthetic\n")
    for first in range(0, rows, PART_ROWS):
        numbers = np.arange(first, min(first + PART_ROWS, rows))
        for table, columns in _columns(numbers).items():
            schema = TABLES[table]
            arrays = [
                columns[field.name].cast(field.type)
                if field.name in columns
                else pa.nulls(len(numbers), field.type)
                for field in schema
            ]
            with storage.writing(table, f"part-{first // PART_ROWS:05}", "synthetic") as part:
                part.add(pa.Table.from_arrays(arrays, schema=schema))


def _columns(numbers: Int64s) -> dict[str, dict[str, pa.Array]]:
    draws = np.random.default_rng(int(numbers[0]))

    def text(form: str, values: Int64s = numbers) -> pa.Array:
        return pa.array([form.format(value) for value in values.tolist()])

    def number(low: float, high: float) -> pa.Array:
        return pa.array(draws.uniform(low, high, len(numbers)).astype(np.float32))

    people = numbers // FACES_OF_PERSON
    keys, faces, ids = text("person/photo-{:08}.jpg"), text("{:016x}-0"), text("{:016x}" + "0" * 48)
    others = text("{:016x}-0", people * FACES_OF_PERSON + (numbers + 1) % FACES_OF_PERSON)
    names = text("person-{:05}", people)
    none = pa.array(["blurred" if draw < 0.1 else None for draw in draws.random(len(numbers))])
    url = text("https://photos-{}.example/", numbers % 50)
    return {
        "sources": {"key": keys, "label": names, "licence": text("CC-BY-{}", numbers % 4), "url": url},
        "images": {"key": keys, "id": ids, "format": text("JPEG"), "bytes": pa.array(numbers * 7 % 900_000),
                   "width": pa.array(numbers % 3000), "height": pa.array(numbers % 2000), "detail_scale": number(0, 1)},
        "duplicates": {"key": keys, "id": ids, "group": ids, "kept_key": keys, "kind": text("kept")},
        "faces": {"id": faces, "image": ids, "key": keys, "face_px": number(64, 900), "sharpness": number(0, 900),
                  "niqe": number(2, 12), "yaw": number(-60, 60), "pitch": number(-30, 30), "roll": number(-20, 20),
                  "outside": number(0, 0.2), "reject": none},
        "labels": {"face": faces, "label": names},
        "identities": {"face": faces, "label": names, "identity": names, "decision": text("kept"),
                       "similarity": number(0.4, 1), "other": text("person-{:05}", people + 1),
                       "other_similarity": number(0, 0.5), "certainty": number(0, 1)},
        "copies": {"face": faces, "other": others, "kind": text("unsure"), "similarity": number(0.9, 1)},
        "pairs": {"target": faces, "reference": others, "identity": names, "rank": pa.array(numbers * 0),
                  "landmark_distance": number(0, 0.1), "similarity": number(0.4, 1), "pose_gap": number(0, 40)},
        "samples": {"key": faces, "split": text("train"), "identity": names, "target": faces,
                    "references": pa.array([[other] for other in others.to_pylist()]), "recipe": text("gfpgan")},
    }  # fmt: skip
