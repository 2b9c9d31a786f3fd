"""The pairs of a set that the guards speak against, judged anew from the tables of its build."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.audit.people import people_of_faces
from facerefs.pipeline.config.config import Config
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.guard import Guard
from facerefs.stages.references.judge import JUDGED_COLUMNS, Thresholds, judged, thresholds
from facerefs.stages.search.similarity import one_embedder

_WORST_FIRST = {Guard.STRANGER: 1, Guard.TWO_PEOPLE: 1}
"""Guards whose worst pairs have the smallest cosine; of all others it is the largest."""


@dataclass(frozen=True)
class FlaggedPair:
    """A pair against which a guard speaks. target, reference: faces; the names are the keys of their photos."""

    target: str
    reference: str
    target_photo: str
    reference_photo: str
    split: str
    guards: tuple[str, ...]
    detail: str
    similarity: float


@dataclass(frozen=True)
class JudgedSet:
    """All pairs of two photos in the samples of a set, judged. flagged: the worst of each guard come first."""

    pairs: int
    made_of_target: int  # references that are no photos, and are not judged
    guards: Mapping[Guard, int]
    flagged: list[FlaggedPair]
    thresholds: Thresholds | None  # None without a pair

    def of(self, guard: Guard) -> list[FlaggedPair]:
        """The pairs against which a guard speaks, the worst first."""
        found = [pair for pair in self.flagged if guard in pair.guards]
        sign = _WORST_FIRST.get(guard, -1)
        return sorted(found, key=lambda pair: (sign * pair.similarity, pair.target, pair.reference))


def judge_set(storage: Storage, config: Config) -> JudgedSet:
    """The pairs of the samples of a build, judged by its settings."""
    samples = storage.scan("samples", ("split", "target", "references", "reject"))
    samples = samples.filter(pc.is_null(samples["reject"]))
    parents = pc.list_parent_indices(samples["references"])
    targets, splits = (samples[name].take(parents) for name in ("target", "split"))
    references = pc.list_flatten(samples["references"])
    photos = pc.not_equal(targets, references)
    made = len(photos) - int(pc.sum(photos).as_py() or 0)
    targets, references, splits = (column.filter(photos) for column in (targets, references, splits))
    faces = _faces_in(storage, pa.chunked_array([*targets.chunks, *references.chunks], pa.string()))
    ids = faces["id"].combine_chunks()
    at = [np.asarray(pc.index_in(end, value_set=ids).to_numpy(), np.int64) for end in (targets, references)]
    person = people_of_faces(storage)
    people = [person.get(face) for face in ids.to_pylist()]
    found = judged(faces, people, at[0], at[1], config.select, config.cluster.same)
    keys, names = faces["key"].to_pylist(), ids.to_pylist()
    flagged = [
        FlaggedPair(
            target=names[at[0][pair]],
            reference=names[at[1][pair]],
            target_photo=keys[at[0][pair]],
            reference_photo=keys[at[1][pair]],
            split=splits[pair].as_py(),
            guards=tuple(dict.fromkeys(str(guard) for guard, _ in said)),
            detail="; ".join(detail for _, detail in said),
            similarity=float(found.alike.similarity[pair]),
        )
        for pair, said in enumerate(found.findings)
        if said
    ]
    counts = Counter(guard for pair in flagged for guard in pair.guards)
    known = (
        thresholds(config.select, one_embedder(faces["embedder"]), config.cluster.same)
        if len(faces)
        else None
    )
    return JudgedSet(len(targets), made, {guard: counts[guard] for guard in Guard}, flagged, known)


def _faces_in(storage: Storage, wanted: pa.ChunkedArray) -> pa.Table:
    """The rows of `faces` with these ids, sorted by id."""
    values = pc.unique(wanted)
    columns = ("id", "key", *JUDGED_COLUMNS)
    parts = [storage.read("faces", name, columns) for name in storage.parts("faces")]
    kept = [part.filter(pc.is_in(part["id"], value_set=values)) for part in parts]
    return pa.concat_tables(kept).sort_by("id") if kept else storage.scan("faces", columns)
