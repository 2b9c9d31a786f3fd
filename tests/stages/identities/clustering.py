"""Synthetic people, and the cluster stage run on them."""

import pyarrow as pa
from numpy.typing import NDArray

from facerefs.schemas.tables import COPIES, OVERRIDES
from facerefs.stages.cluster import Cluster
from tests.stages.synthetic import embeddings, face_id, labels_of


def clustered(faces: pa.Table, copies=(), overrides=(), kind="copy", **settings_of) -> pa.Table:
    """copies: pairs of numbers of faces. overrides: (decision, what, other), of which the first is in line 2."""
    columns = ("face", "other", "kind")
    pairs = [dict(zip(columns, (*sorted(map(face_id, pair)), kind), strict=True)) for pair in copies]
    lines = [
        {"line": line, "decision": decision, "what": what, "other": other}
        for line, (decision, what, other) in enumerate(overrides, 2)
    ]
    tables = {
        "faces": faces,
        "labels": labels_of(faces),
        "copies": pa.Table.from_pylist(pairs, COPIES),
        "overrides": pa.Table.from_pylist(lines, OVERRIDES),
    }
    return Cluster(**settings_of).process(
        {name: table.select(Cluster.reads[name]) for name, table in tables.items()}
    )


def rows_by_face(identities: pa.Table) -> list[dict]:
    """The rows in the order in which `faces_table` numbers the faces."""
    by_face = {row["face"]: row for row in identities.to_pylist()}
    return [by_face[face_id(i)] for i in range(len(by_face))]


def people(number: int, faces_each: int, seed: int = 0) -> tuple[NDArray, NDArray, list[str]]:
    """The person of each face, its embedding, and its label: `person 000` and so on."""
    person, vectors = embeddings(number, faces_each, seed)
    return person, vectors, [f"person {number:03d}" for number in person]
