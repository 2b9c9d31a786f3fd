"""Cluster: who is who. Faces in, one identity (or the reason for none) per face out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from annotated_types import Ge, Gt, Lt

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.schemas.tables import IDENTITIES
from facerefs.stages.engines.calibration import calibration_of
from facerefs.stages.identities.by_label import by_label
from facerefs.stages.identities.centroids import cores_of
from facerefs.stages.identities.cluster_unlabelled import by_looks
from facerefs.stages.identities.groups import label_groups
from facerefs.stages.identities.label_check import Sizes, check_labels
from facerefs.stages.identities.operating_point import OperatingPoint, operating_point
from facerefs.stages.identities.overrides.apply import apply
from facerefs.stages.identities.overrides.lines import Words, read_words
from facerefs.stages.identities.people import NOBODY, Faces, Outcome, gather, likeness, nearest_other
from facerefs.stages.identities.resolve_conflicts import one_name
from facerefs.stages.identities.same_shot import copy_pairs, joined, one_per_shot
from facerefs.stages.identities.wccn import Whitening, whitening
from facerefs.stages.search.similarity import matrix, one_embedder


@dataclass(frozen=True)
class Cluster:
    """Give every face that was not rejected an identity. A whole stage.

    labels: `trust` takes the label as the identity, `check` corrects it on evidence, `ignore` finds people by
    their looks alone. same: cosine above which two faces can be one person; by default measured on the labels
    (`check`, see `operating_point`) or, where that cannot be, the calibration of the embedder.
    min_faces: the fewest faces, each in another photo, that make a person nobody named. min_split: the fewest that
    make a person of their own of faces labelled as somebody else. neighbours: how many of each face are looked at;
    people with more faces are still found whole, through each other's neighbours.

    Wherever numbers decide, copies of a shot (`copies`) count once. One shot under two names stays with the person
    whom it suits best. What a person said in `overrides` goes before all else.

    `similarity` and `other_similarity` are cosines to centres of the embeddings as they are; the figures in
    `why` are mean cosines to a person's faces, of embeddings whitened where the labels allow (`whitening`).
    `certainty` is the distance, in mean cosine, to the nearest other decision, as a share of half of what lies
    between usual strangers and usual faces of one person; 1 from there on, and where nothing was weighed.

    Raises ValueError if the faces come from several embedders.
    """

    labels: Literal["trust", "check", "ignore"] = "check"
    same: Annotated[float, Gt(-1), Lt(1)] | None = None
    min_faces: Annotated[int, Ge(1)] = 2
    min_split: Annotated[int, Ge(2)] = 3
    neighbours: Annotated[int, Ge(1)] = 64

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "faces": ("id", "image", "key", "label", "embedding", "face_px", "embedder", "reject"),
        "copies": ("face", "other", "kind"),
        "overrides": ("line", "decision", "what", "other"),
    }
    writes: ClassVar[str] = "identities"
    version: ClassVar[int] = 2

    def process(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """One row of IDENTITIES per face that was not rejected, in the order of the faces' ids."""
        rows = tables["faces"]
        rows = rows.filter(pc.is_null(rows["reject"])).sort_by("id")
        if not len(rows):
            return IDENTITIES.empty_table()
        words = read_words(tables["overrides"], rows)
        faces = _faces(rows, tables["copies"])
        embedder = one_embedder(rows["embedder"])
        same = calibration_of(embedder).same if self.same is None else self.same
        outcome, vectors, point = self._decide(faces, words, same)
        cores = cores_of(vectors, faces.shot, outcome.core, len(outcome.names))
        outcome = apply(outcome, words, faces, cores)
        return _table(faces, one_name(outcome, faces, cores, point, words))

    def _decide(self, faces: Faces, words: Words, same: float) -> tuple[Outcome, Float32s, OperatingPoint]:
        """By one face per shot and label. Also returns the vectors that were weighed, and the working point."""
        if self.labels == "ignore":
            faces = replace(faces, label=np.full(len(faces.id), NOBODY), names=[])
        few, weighed, number = one_per_shot(faces)
        words = words.renumbered(number)
        point = operating_point(few.vectors, few.label, few.image, same, measure=self._measures)
        vectors = faces.vectors
        match self.labels:
            case "trust":
                outcome = by_label(few, words, point)
            case "ignore":
                outcome = by_looks(few, words, point, self.neighbours, self.min_faces)
            case "check":
                white = self._whitening(few, point)
                if white is not None:
                    whitened = replace(few, vectors=white(few.vectors))
                    sharper = operating_point(whitened.vectors, few.label, few.image, same, measure=True)
                    if sharper.separation > point.separation:
                        few, point, vectors = whitened, sharper, white(vectors)
                outcome = check_labels(
                    few, point, words, Sizes(self.neighbours, self.min_faces, self.min_split)
                )
        outcome = outcome.take(number)
        core = np.full(len(number), NOBODY)
        core[weighed] = outcome.core[weighed]
        return replace(outcome, core=core), vectors, point

    @property
    def _measures(self) -> bool:
        return self.same is None and self.labels == "check"

    def _whitening(self, faces: Faces, point: OperatingPoint) -> Whitening | None:
        if not self._measures or not point.separation:
            return None
        _, core = label_groups(faces, faces.label, self.neighbours, point.same)
        return whitening(faces.vectors, np.where(core, faces.label, NOBODY))


def _faces(rows: pa.Table, copies: pa.Table) -> Faces:
    labels = rows["label"].combine_chunks().dictionary_encode()
    names = labels.dictionary.to_pylist()
    order = np.argsort(np.array(names, object)) if names else np.zeros(0, np.int64)
    number = np.append(np.argsort(order), NOBODY)
    count = len(rows)
    return Faces(
        id=rows["id"].to_pylist(),
        image=np.asarray(rows["image"].combine_chunks().dictionary_encode().indices.to_numpy(), np.int64),
        shot=joined(*copy_pairs(copies, rows["id"]), count),
        label=number[labels.indices.fill_null(len(names)).to_numpy()],
        names=sorted(names),
        vectors=matrix(rows["embedding"]),
        size_px=np.nan_to_num(rows["face_px"].to_numpy().astype(np.float32)),
    )


def _table(faces: Faces, outcome: Outcome) -> pa.Table:
    own = np.where(outcome.person != NOBODY, outcome.person, outcome.asked)
    people = gather(faces.vectors, outcome.core, len(outcome.names))
    other, other_likeness = nearest_other(faces.vectors, own, people, unit=True)
    similarity = likeness(faces.vectors, own, people, unit=True)
    forced = outcome.line > 0
    why = outcome.why.copy()
    why[forced] = [f"overrides.csv, line {line}" for line in outcome.line[forced]]
    return pa.table(
        {
            "face": faces.id,
            "label": _named(faces.names, faces.label),
            "identity": _named(outcome.names, outcome.person),
            "decision": outcome.decision,
            "similarity": pa.array(similarity, from_pandas=True),
            "other": _named(outcome.names, other),
            "other_similarity": pa.array(other_likeness, from_pandas=True),
            "certainty": np.where(forced, np.float32(1), outcome.certainty),
            "forced": forced,
            "why": why,
            "reject": outcome.reject,
        },
        schema=IDENTITIES,
    )


def _named(names: list[str], number: Int64s) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(number, mask=number == NOBODY))
