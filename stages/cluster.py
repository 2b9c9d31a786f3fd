"""Cluster: assign an identity to each face, or the reason why it has none."""

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
from facerefs.stages.identities.centroids import centroids_of
from facerefs.stages.identities.cluster_unlabelled import cluster_unlabelled
from facerefs.stages.identities.groups import label_groups
from facerefs.stages.identities.label_check import ClusterLimits, check_labels
from facerefs.stages.identities.operating_point import OperatingPoint, operating_point
from facerefs.stages.identities.overrides.apply import apply_overrides
from facerefs.stages.identities.overrides.lines import IdentityOverrides, read_identity_overrides
from facerefs.stages.identities.people import (
    UNASSIGNED,
    Faces,
    IdentityAssignment,
    nearest_other,
    person_similarity,
    sum_by_person,
)
from facerefs.stages.identities.resolve_conflicts import resolve_conflicts
from facerefs.stages.identities.same_shot import component_numbers, copy_pairs, one_per_shot
from facerefs.stages.identities.wccn import WccnTransform, fit_wccn
from facerefs.stages.join import left_join
from facerefs.stages.room import IN_MEMORY, Room
from facerefs.stages.search.similarity import one_embedder, rows_of_matrix


@dataclass(frozen=True)
class Cluster:
    """Give every face that was not rejected an identity. A whole stage.

    `same` is measured on the labels with `check` (see `operating_point`); where that is not possible, it is taken from
    the embedder's calibration. People with more faces than `neighbours` are still found whole, through each other's
    neighbours.

    Copies of a shot (`copies`) count once wherever faces are counted. One shot under two names stays with the person
    it suits best. Lines of `overrides` come before all else.

    `similarity` and `other_similarity` are cosines to centres of the embeddings as they are; the figures in
    `why` are mean cosines to a person's faces, of embeddings after WCCN where the labels allow it (`fit_wccn`).
    `certainty` is the distance, in mean cosine, to the nearest other decision, as a share of half the distance
    between the median cosines of different people and of one person; at most 1, and 1 where nothing was compared.

    Raises ValueError if the faces come from several embedders.
    """

    labels: Literal["trust", "check", "ignore"] = "check"
    """What the names of the source are worth: `trust` takes them, `check` corrects them on evidence, `ignore`
    finds people by their faces alone."""
    same: Annotated[float, Gt(-1), Lt(1)] | None = None
    """Cosine from which two faces can be one person; null measures it on the labels, or takes that of the
    embedder's calibration."""
    min_faces: Annotated[int, Ge(1)] = 2
    """Fewest faces, each in another photo, that make a person whom nobody named."""
    min_split: Annotated[int, Ge(2)] = 3
    """Fewest faces under a wrong name that make a person of their own."""
    neighbours: Annotated[int, Ge(1)] = 64
    """How many nearest faces by cosine are looked at for each face."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "faces": ("id", "image", "key", "embedding", "face_px", "embedder", "reject"),
        "labels": ("face", "label"),
        "copies": ("face", "other", "kind"),
        "overrides": ("line", "decision", "what", "other"),
    }
    writes: ClassVar[str] = "identities"
    version: ClassVar[int] = 5

    def process(self, tables: Mapping[str, pa.Table], room: Room = IN_MEMORY) -> pa.Table:
        """One row of IDENTITIES per face that was not rejected, in the order of the faces' ids."""
        embedding = tables["faces"]["embedding"]
        rows = tables["faces"].drop_columns(["embedding"])
        rows = rows.append_column("row", pa.array(np.arange(len(rows))))
        rows = rows.filter(pc.is_null(rows["reject"])).sort_by("id")
        rows = left_join(rows, "id", tables["labels"].select(["face", "label"]), "face")
        if not len(rows):
            return IDENTITIES.empty_table()
        overrides = read_identity_overrides(tables["overrides"], rows)
        faces = _faces(rows, rows_of_matrix(embedding, rows["row"].to_numpy(), room), tables["copies"], room)
        embedder = one_embedder(rows["embedder"])
        same = calibration_of(embedder).same if self.same is None else self.same
        assignment, vectors, point = self._decide(faces, overrides, same)
        centroids = centroids_of(vectors, faces.shot, assignment.centroid_of, len(assignment.names), room)
        assignment = apply_overrides(assignment, overrides, faces, centroids)
        return _table(faces, resolve_conflicts(assignment, faces, centroids, point, overrides))

    def _decide(
        self, faces: Faces, overrides: IdentityOverrides, same: float
    ) -> tuple[IdentityAssignment, Float32s, OperatingPoint]:
        """The assignment, decided on one face per shot and label; the embeddings it rests on; the operating point."""
        if self.labels == "ignore":
            faces = replace(faces, label=np.full(len(faces.id), UNASSIGNED), names=[])
        shots, representatives, number = one_per_shot(faces)
        overrides = overrides.renumbered(number)
        point = operating_point(shots.vectors, shots.label, shots.image, same, measure=self._measures)
        vectors = faces.vectors
        match self.labels:
            case "trust":
                assignment = by_label(shots, overrides, point)
            case "ignore":
                assignment = cluster_unlabelled(shots, overrides, point, self.neighbours, self.min_faces)
            case "check":
                wccn = self._wccn(shots, point)
                if wccn is not None:
                    transformed = replace(shots, vectors=wccn(shots.vectors, faces.room))
                    sharper = operating_point(
                        transformed.vectors, shots.label, shots.image, same, measure=True
                    )
                    if sharper.separation > point.separation:
                        shots, point, vectors = transformed, sharper, wccn(vectors, faces.room)
                assignment = check_labels(
                    shots, point, overrides, ClusterLimits(self.neighbours, self.min_faces, self.min_split)
                )
        assignment = assignment.take(number)
        centroid_of = np.full(len(number), UNASSIGNED)
        centroid_of[representatives] = assignment.centroid_of[representatives]
        return replace(assignment, centroid_of=centroid_of), vectors, point

    @property
    def _measures(self) -> bool:
        return self.same is None and self.labels == "check"

    def _wccn(self, faces: Faces, point: OperatingPoint) -> WccnTransform | None:
        if not self._measures or not point.separation:
            return None
        _, core = label_groups(faces, faces.label, self.neighbours, point.same)
        return fit_wccn(faces.vectors, np.where(core, faces.label, UNASSIGNED), faces.room)


def _faces(rows: pa.Table, vectors: Float32s, copies: pa.Table, room: Room) -> Faces:
    labels = rows["label"].combine_chunks().dictionary_encode()
    names = labels.dictionary.to_pylist()
    order = np.argsort(np.array(names, object)) if names else np.zeros(0, np.int64)
    number = np.append(np.argsort(order), UNASSIGNED)
    count = len(rows)
    return Faces(
        id=rows["id"].to_pylist(),
        image=np.asarray(rows["image"].combine_chunks().dictionary_encode().indices.to_numpy(), np.int64),
        shot=component_numbers(*copy_pairs(copies, rows["id"]), count),
        label=number[labels.indices.fill_null(len(names)).to_numpy()],
        names=sorted(names),
        vectors=vectors,
        size_px=np.nan_to_num(rows["face_px"].to_numpy().astype(np.float32)),
        room=room,
    )


def _table(faces: Faces, assignment: IdentityAssignment) -> pa.Table:
    own = np.where(assignment.person != UNASSIGNED, assignment.person, assignment.labelled_as)
    people = sum_by_person(faces.vectors, assignment.centroid_of, len(assignment.names), faces.room)
    other, other_similarity = nearest_other(faces.vectors, own, people, unit=True)
    similarity = person_similarity(faces.vectors, own, people, unit=True)
    forced = assignment.override_line > 0
    why = assignment.why.copy()
    why[forced] = [f"overrides.csv, line {line}" for line in assignment.override_line[forced]]
    return pa.table(
        {
            "face": faces.id,
            "label": _named(faces.names, faces.label),
            "identity": _named(assignment.names, assignment.person),
            "decision": assignment.decision,
            "similarity": pa.array(similarity, from_pandas=True),
            "other": _named(assignment.names, other),
            "other_similarity": pa.array(other_similarity, from_pandas=True),
            "certainty": np.where(forced, np.float32(1), assignment.certainty),
            "forced": forced,
            "why": why,
            "reject": assignment.reject,
        },
        schema=IDENTITIES,
    )


def _named(names: list[str], number: Int64s) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(number, mask=number == UNASSIGNED))
