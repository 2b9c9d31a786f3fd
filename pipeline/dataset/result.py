"""What a build made of its photos: samples, people and splits, and for each lost photo the reason."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.dataset.came_back import duplicates_after_analysis
from facerefs.pipeline.dataset.masks import mask_counts
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from facerefs.schemas.sample import SPLITS


@dataclass(frozen=True)
class Loss:
    """Photos that are in no sample for one reason. table: the one in which they were rejected."""

    reason: Reject
    table: str
    photos: int


@dataclass(frozen=True)
class BuildResult:
    """The numbers of a finished build.

    losses: most frequent first. split_people: by split, also of empty ones. masks: of faces in samples, by engine.
    """

    samples: int
    people: int
    photos: int
    photos_used: int
    losses: tuple[Loss, ...]
    split_people: Mapping[str, int]
    masks: Mapping[str, int] = field(default_factory=dict)

    @property
    def transient(self) -> tuple[Loss, ...]:
        """The losses that another attempt may heal."""
        return tuple(loss for loss in self.losses if loss.reason.transient)

    def facts(self) -> dict[str, Any]:
        """The numbers as plain values, for programs."""
        numbers = {name: getattr(self, name) for name in ("samples", "people", "photos", "photos_used")}
        lost = [
            {"reason": str(loss.reason), "table": loss.table, "photos": loss.photos} for loss in self.losses
        ]
        transient = sum(loss.photos for loss in self.transient)
        counts = {"split_people": dict(self.split_people), "masks": dict(self.masks)}
        return {**numbers, "lost": lost, "may_heal": transient, **counts}


def build_result(storage: Storage) -> BuildResult:
    """The result of the build in a folder."""
    samples = storage.scan("samples", ("target", "references", "identity", "split", "reject"))
    made = samples.filter(pc.is_null(samples["reject"]))
    faces = storage.scan("faces", ("id", "key", "reject"))
    in_samples = pa.chunked_array(
        [*made["target"].chunks, *pc.list_flatten(made["references"]).chunks], pa.string()
    )
    used = pc.unique(faces["key"].filter(pc.is_in(faces["id"], value_set=in_samples.combine_chunks())))
    losses = Counter[tuple[str, str]]()
    tables = {table: storage.scan(table, ("reject",)) for table in ("sources", "downloads", "images")}
    tables["duplicates"] = duplicates_after_analysis(storage, ("key", "reject"))
    for table, rows in tables.items():
        losses.update({(reason, table): count for reason, count in _counts(rows["reject"].drop_null())})
    losses += _lost_faces(storage, faces.filter(pc.invert(pc.is_in(faces["key"], value_set=used))), samples)
    people = made.group_by(["identity", "split"]).aggregate([])
    splits = Counter(people["split"].to_pylist())
    return BuildResult(
        samples=len(made),
        people=len(pc.unique(made["identity"])),
        photos=sum(part.rows for name in storage.parts("sources") if (part := storage.part("sources", name))),
        photos_used=len(used),
        losses=tuple(Loss(Reject(reason), table, count) for (reason, table), count in losses.most_common()),
        split_people={split: splits[split] for split in SPLITS},
        masks=mask_counts(storage, made.select(["target", "references"]).to_pylist()),
    )


def _lost_faces(storage: Storage, faces: pa.Table, samples: pa.Table) -> Counter[tuple[str, str]]:
    """Photos by (reason, table), for the faces of photos that are in no sample: the reason of the face that came
    furthest."""
    identities = storage.scan("identities", ("face", "reject"))
    pairs = storage.scan("pairs", ("target", "reference", "reject"))
    alone = pairs.filter(pc.is_null(pairs["reference"]))
    steps = (
        ("faces", faces["id"], faces["reject"]),
        ("identities", identities["face"], identities["reject"]),
        ("pairs", alone["target"], alone["reject"]),
        ("samples", samples["target"], samples["reject"]),
    )
    reason = pa.nulls(len(faces), pa.string())
    step = pa.nulls(len(faces), pa.int8())
    for number, (_, ids, rejects) in enumerate(steps):
        rejected = pc.is_valid(rejects)
        place = pc.index_in(faces["id"], value_set=ids.filter(rejected).combine_chunks()).combine_chunks()
        found = rejects.filter(rejected).combine_chunks().take(place)
        step = pc.if_else(pc.and_(pc.is_null(reason), pc.is_valid(found)), pa.scalar(number, pa.int8()), step)
        reason = pc.coalesce(reason, found)
    lost = pa.table({"key": faces["key"], "reason": reason, "step": step}).filter(pc.is_valid(reason))
    lost = lost.sort_by([("key", "ascending"), ("step", "descending")])
    furthest = lost.group_by("key", use_threads=False).aggregate([("reason", "first"), ("step", "first")])
    counts = furthest.group_by(["reason_first", "step_first"]).aggregate([([], "count_all")]).to_pylist()
    return Counter({(row["reason_first"], steps[row["step_first"]][0]): row["count_all"] for row in counts})


def _counts(values: pa.ChunkedArray) -> list[tuple[str, int]]:
    return [(row["values"], row["counts"]) for row in pc.value_counts(values).to_pylist()]
