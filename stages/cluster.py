"""Cluster: who is who. Faces in, one identity (or the reason for none) per face out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from annotated_types import Ge, Gt, Lt

from schemas.reject import Reject
from schemas.tables import IDENTITIES
from stages.engines.calibration import calibration_of
from stages.identities.label_check import check_labels, label_groups
from stages.identities.operating_point import operating_point
from stages.identities.people import (
    NOBODY,
    Faces,
    Outcome,
    discover,
    gather,
    likeness,
    nearest_other,
    one_per_photo,
    second_faces,
)
from stages.identities.whitening import whiten
from stages.similarity import matrix, one_embedder


@dataclass(frozen=True)
class Cluster:
    """Give every face that was not rejected an identity. A whole stage.

    labels: `trust` takes the label as the identity, `check` corrects it on evidence, `ignore` finds people by
    their looks alone. same: cosine above which two faces can be one person; by default measured on the labels
    (`check`, see `operating_point`) or, where that cannot be, the calibration of the embedder.
    min_faces: the fewest faces, each in another photo, that make a person nobody named. neighbours: how many
    of each face are looked at; people with more faces are still found whole, through each other's neighbours.

    `similarity` and `other_similarity` are cosines to centres of the embeddings as they are; the figures in
    `why` are mean cosines to a person's faces, of embeddings whitened where the labels allow (`whitening`).

    Raises ValueError if the faces come from several embedders.
    """

    labels: Literal["trust", "check", "ignore"] = "check"
    same: Annotated[float, Gt(-1), Lt(1)] | None = None
    min_faces: Annotated[int, Ge(1)] = 2
    neighbours: Annotated[int, Ge(1)] = 64

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "faces": ("id", "image", "label", "embedding", "score", "face_px", "embedder", "reject")
    }
    writes: ClassVar[str] = "identities"
    version: ClassVar[int] = 1

    def process(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """One row of IDENTITIES per face that was not rejected, in the order of the faces' ids."""
        rows = tables["faces"]
        rows = rows.filter(pc.is_null(rows["reject"])).sort_by("id")
        if not len(rows):
            return IDENTITIES.empty_table()
        faces = _faces(rows)
        embedder = one_embedder(rows["embedder"])
        same = calibration_of(embedder).same if self.same is None else self.same
        match self.labels:
            case "trust":
                outcome = _trust(faces)
            case "ignore":
                outcome = self._ignore(faces, same)
            case "check":
                outcome = self._check(faces, same)
        return _table(faces, outcome)

    def _check(self, faces: Faces, same: float) -> Outcome:
        measure = self.same is None
        point = operating_point(faces.vectors, faces.label, faces.image, same, measure=measure)
        if measure and point.separation:
            _, core = label_groups(faces, faces.label, self.neighbours, point.same)
            vectors = whiten(faces.vectors, np.where(core, faces.label, NOBODY))
            if vectors is not None:
                white = operating_point(vectors, faces.label, faces.image, same, measure=True)
                if white.separation > point.separation:
                    faces, point = replace(faces, vectors=vectors), white
        return check_labels(faces, point, self.neighbours, self.min_faces)

    def _ignore(self, faces: Faces, same: float) -> Outcome:
        rows = np.arange(len(faces.id))
        person, names = discover(faces, rows, same, self.neighbours, self.min_faces)
        again = second_faces(faces.vectors, faces.image, person, len(names))
        too_few = f"fewer than {self.min_faces} faces of different photos are {same:.2f} alike on average"
        sentence = {
            (True, True): too_few,
            (True, False): "another face of the same photo suits the person better",
        }
        nobody = (person == NOBODY) | again
        why = [sentence.get((bool(n), not a)) for n, a in zip(nobody, again, strict=True)]
        return Outcome(
            names=names,
            person=np.where(again, NOBODY, person),
            asked=person,
            decision=["dropped" if n else "discovered" for n in nobody],
            reject=[Reject.NO_IDENTITY if n else None for n in nobody],
            why=why,
            core=person,
        )


def _faces(rows: pa.Table) -> Faces:
    labels = rows["label"].to_pylist()
    names = sorted({label for label in labels if label is not None})
    number = {name: code for code, name in enumerate(names)} | {None: NOBODY}
    _, image = np.unique(np.array(rows["image"].to_pylist(), str), return_inverse=True)
    return Faces(
        id=rows["id"].to_pylist(),
        image=image,
        label=np.array([number[label] for label in labels], np.int64),
        names=names,
        vectors=matrix(rows["embedding"]),
        size_px=np.nan_to_num(rows["face_px"].to_numpy().astype(np.float32)),
    )


def _trust(faces: Faces) -> Outcome:
    """The label is the identity. In a photo of several faces the one nearest to the label's centre carries it
    (the centre of the photos with one face), or the largest if the label has no such photo."""
    rows = np.arange(len(faces.id))
    alone = np.bincount(faces.image)[faces.image] == 1
    people = gather(faces.vectors, np.where(alone, faces.label, NOBODY), len(faces.names))
    fitness = likeness(faces.vectors, faces.label, people, unit=True)
    fitness = np.where(np.isnan(fitness), faces.size_px, fitness)
    again = one_per_photo(faces.image, faces.label, fitness)
    person = np.where(again, NOBODY, faces.label)
    reject: list[str | None] = [None] * len(rows)
    why: list[str | None] = [None] * len(rows)
    for row in np.flatnonzero(again):
        reject[row], why[row] = Reject.WRONG_LABEL, "another face of the same photo suits the label better"
    for row in np.flatnonzero(faces.label == NOBODY):
        reject[row], why[row] = Reject.UNLABELLED, Reject.UNLABELLED.sentence
    return Outcome(
        names=faces.names,
        person=person,
        asked=faces.label,
        decision=["kept" if home != NOBODY else "dropped" for home in person],
        reject=reject,
        why=why,
        core=person,
    )


def _table(faces: Faces, outcome: Outcome) -> pa.Table:
    own = np.where(outcome.person != NOBODY, outcome.person, outcome.asked)
    people = gather(faces.vectors, outcome.core, len(outcome.names))
    other, other_likeness = nearest_other(faces.vectors, own, people, unit=True)
    similarity = likeness(faces.vectors, own, people, unit=True)
    label_names, names = [*faces.names, None], [*outcome.names, None]
    return pa.table(
        {
            "face": faces.id,
            "label": [label_names[code] for code in faces.label],
            "identity": [names[code] for code in outcome.person],
            "decision": outcome.decision,
            "similarity": pa.array(similarity, from_pandas=True),
            "other": [names[code] for code in other],
            "other_similarity": pa.array(other_likeness, from_pandas=True),
            "why": outcome.why,
            "reject": outcome.reject,
        },
        schema=IDENTITIES,
    )
