"""What a build made of its photos: samples, people and splits, and for each lost photo the reason."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.dataset.came_back import duplicates_after_analysis
from facerefs.pipeline.dataset.given import GivenResult, given_result
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
class ElsewhereResult:
    """The references made elsewhere: how many are in samples, samples without any, and unused files by reason.

    of_no_sample: good files of a face that is in no sample, such as one of a person who was dropped.
    """

    used: int
    samples_without: int
    unused: Mapping[Reject, int]
    of_no_sample: int = 0

    def facts(self) -> dict[str, Any]:
        """The numbers as plain values, for programs."""
        unused = {str(reason): count for reason, count in self.unused.items()}
        return {**asdict(self), "unused": unused}


@dataclass(frozen=True)
class BuildResult:
    """The numbers of a finished build.

    losses: most frequent first. split_people: by split, also of empty ones. masks: of faces in samples, by engine.
    references: of all samples; synthesised: those of them that are made from their target; elsewhere: what became of
    references made elsewhere, None if there is no such folder. given: what became of published lists.
    """

    samples: int
    people: int
    photos: int
    photos_used: int
    losses: tuple[Loss, ...]
    split_people: Mapping[str, int]
    masks: Mapping[str, int] = field(default_factory=dict)
    references: int = 0
    synthesised: int = 0
    elsewhere: "ElsewhereResult | None" = None
    given: GivenResult | None = None

    @property
    def transient(self) -> tuple[Loss, ...]:
        """The losses that another attempt may heal."""
        return tuple(loss for loss in self.losses if loss.reason.transient)

    def facts(self) -> dict[str, Any]:
        """The numbers as plain values, for programs."""
        names = ("samples", "people", "photos", "photos_used", "references", "synthesised")
        numbers = {name: getattr(self, name) for name in names}
        lost = [
            {"reason": str(loss.reason), "table": loss.table, "photos": loss.photos} for loss in self.losses
        ]
        transient = sum(loss.photos for loss in self.transient)
        counts = {"split_people": dict(self.split_people), "masks": dict(self.masks)}
        elsewhere = None if self.elsewhere is None else self.elsewhere.facts()
        given = {} if self.given is None else {"given": self.given.facts()}
        return {
            **numbers,
            "lost": lost,
            "may_heal": transient,
            **counts,
            "made_elsewhere": elsewhere,
            **given,
        }


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
    lists = made["references"].combine_chunks()
    references = pc.list_flatten(lists)
    own = made["target"].combine_chunks().take(pc.list_parent_indices(lists))
    elsewhere = _elsewhere(storage, made["target"])
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
        references=len(references),
        synthesised=int(pc.sum(pc.equal(references, own)).as_py() or 0)
        - (elsewhere.used if elsewhere else 0),
        elsewhere=elsewhere,
        given=given_result(storage),
    )


def _elsewhere(storage: Storage, targets: pa.ChunkedArray) -> ElsewhereResult | None:
    if not storage.parts("made_elsewhere"):
        return None
    in_samples = targets.combine_chunks()
    pairs = storage.scan("pairs", ("target", "elsewhere"))
    there = pc.and_(pc.is_valid(pairs["elsewhere"]), pc.is_in(pairs["target"], value_set=in_samples))
    used = pairs.filter(there)
    files = storage.scan("made_elsewhere", ("target", "reject"))
    unused = Counter({Reject(reason): count for reason, count in _counts(files["reject"].drop_null())})
    good = files.filter(pc.is_null(files["reject"]))["target"]
    of_samples = int(pc.sum(pc.is_in(good, value_set=in_samples)).as_py() or 0)
    unused[Reject.ENOUGH_REFERENCES] += of_samples - len(used)  # a sample holds MAX_REFERENCES
    return ElsewhereResult(
        used=len(used),
        samples_without=len(targets) - pc.count_distinct(used["target"]).as_py(),
        unused=+unused,
        of_no_sample=len(good) - of_samples,
    )


def _lost_faces(storage: Storage, faces: pa.Table, samples: pa.Table) -> Counter[tuple[str, str]]:
    """Photos by (reason, table), for the faces of photos that are in no sample: the reason of the face that came
    furthest."""
    identities = storage.scan("identities", ("face", "reject"))
    pairs = storage.scan("pairs", ("target", "reference", "reject"))
    alone = pairs.filter(pc.is_null(pairs["reference"]))
    splits = storage.scan("splits", ("target", "reject"))
    steps = (
        ("faces", faces["id"], faces["reject"]),
        ("identities", identities["face"], identities["reject"]),
        ("pairs", alone["target"], alone["reject"]),
        ("splits", splits["target"], splits["reject"]),
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
