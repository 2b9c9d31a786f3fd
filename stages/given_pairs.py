"""Given pairs: take targets and references from a published list, and report what the guards say against them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facerefs.schemas.reject import Reject
from facerefs.schemas.sample import MAX_REFERENCES
from facerefs.schemas.tables import PAIRS
from facerefs.stages.given.given_faces import GIVEN_FACES_READS, GivenFaces, Refusal, people_of
from facerefs.stages.references.judge import JUDGED_COLUMNS, Limits, judged
from facerefs.stages.room import IN_MEMORY, Room
from facerefs.stages.stage import SHARED

STRATEGY = "published"
_DIGITS = 12  # of the smallest id, in the name of a person
Row = dict[str, Any]


@dataclass(frozen=True)
class GivenPairs:
    """Write the pairs of a published list, in the place of `select`. A whole stage.

    Every pair whose two photos give one face each becomes a reference, in the order of the list, whatever the guards
    say: that is in `guards` and `guard_detail`. What cannot be a sample is a rejected row with its reason: a name of
    no photo or of several, a photo without a face or with several, a target as its own reference, a pair or a
    target's degraded image that is named twice. A face that a person dropped in `overrides.csv` is in no pair.

    Faces that `analyse` rejects for their quality alone are taken. The person of a sample is the label of its target;
    without labels, all photos that pairs connect are one person, whatever the clusters say: the list alone decides.
    """

    select: Any = field(default=None, metadata=SHARED)  # the limits of `select`
    same: float | None = field(default=None, metadata=SHARED)  # `cluster.same`

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "given_pairs": ("row", "target", "references", "degraded_sha256", "reject", "reject_detail"),
        "faces": ("id", "part", "key", *JUDGED_COLUMNS),
        "labels": ("face", "label"),
        "identities": ("face", "identity", "reject"),
        "overrides": ("decision", "what"),
        **GIVEN_FACES_READS,
    }
    writes: ClassVar[str] = "pairs"
    version: ClassVar[int] = 1

    def process(self, tables: Mapping[str, pa.Table], room: Room = IN_MEMORY) -> pa.Table:
        """PAIRS in the order of the list, then one rejected row for each accepted face that is no target of it."""
        limits: Limits = self.select
        faces = tables["faces"]
        rows = list(_matched(tables["given_pairs"], lru_cache(maxsize=None)(GivenFaces.of(tables).find)))
        labels, people = people_of(faces, tables["labels"], tables["identities"])
        kept = [row for row in rows if row["reject"] is None]
        targets, references = (np.array([row[end] for row in kept], np.int64) for end in ("at", "of"))
        used = np.unique(np.concatenate([targets, references]))
        found = judged(
            faces.take(pa.array(used)),
            [people[face] for face in used.tolist()],
            np.searchsorted(used, targets),
            np.searchsorted(used, references),
            limits,
            self.same,
        )
        figures = (found.landmark_distance, found.alike.similarity, found.pose_gap)
        for row, figure, guards, detail in zip(
            kept, zip(*figures, strict=True), found.guards, found.details, strict=True
        ):
            apart, similarity, gap = map(float, figure)
            row |= {"landmark_distance": apart, "similarity": similarity, "guards": guards}
            row |= {"pose_gap": None if np.isnan(gap) else gap, "guard_detail": detail}
        ids, parts = faces["id"].to_pylist(), faces["part"].to_pylist()
        identity = _people_of_targets(kept, ids, labels)
        return pa.Table.from_pylist(
            [*(_row(row, ids, parts, identity) for row in rows), *_others(faces, rows)], PAIRS
        )


def _matched(given: pa.Table, find: Callable[[str], int | Refusal]) -> Iterator[Row]:
    """Rows with `at` and `of`, the rows of `faces` that are target and reference; rejected ones with the reason."""
    degraded: dict[int, str | None] = {}
    taken: dict[int, list[int]] = {}  # target -> its references
    without: dict[int, Row] = {}
    for one in given.to_pylist():
        common = {
            "given_row": one["row"],
            "target": one["target"] or "",
            "reject": None,
            "reject_detail": None,
        }
        names = one["references"] or []
        if one["reject"] is not None:
            yield common | {"reject": one["reject"], "reject_detail": one["reject_detail"]}
            continue
        target = find(one["target"])
        if not isinstance(target, int):
            yield common | _refusal(target)
            continue
        common["at"] = target
        if target in taken and degraded[target] != one["degraded_sha256"]:
            why = "an earlier row names the target with another degraded image"
            yield common | _refusal((Reject.NAMED_TWICE, why))
            continue
        degraded[target] = one["degraded_sha256"]
        had = taken.setdefault(target, [])
        for name in names:
            yield common | {"reference": name} | _reference(find(name), target, had)
        if not had:
            why = "none of its published references can be used" if names else "the list names none"
            without.setdefault(target, common | _refusal((Reject.NO_REFERENCE, why)))
    yield from (row for target, row in without.items() if not taken[target])


def _reference(found: int | Refusal, target: int, had: list[int]) -> Row:
    """The reference as a row of `faces`, with its rank, which is noted in `had`; else why it is none."""
    if not isinstance(found, int):
        return _refusal(found)
    if found == target:
        return _refusal((Reject.SELF_REFERENCE, "both names mean the same face"))
    if found in had:
        return _refusal((Reject.NAMED_TWICE, "the target has it as a reference already"))
    if len(had) == MAX_REFERENCES:
        return _refusal((Reject.TOO_MANY_REFERENCES, f"at most {MAX_REFERENCES}"))
    had.append(found)
    return {"of": found, "rank": len(had) - 1}


def _refusal(why: Refusal) -> Row:
    reject, detail = why
    return {"reject": str(reject), "reject_detail": detail}


def _people_of_targets(kept: list[Row], ids: list[str], labels: list[str | None]) -> Mapping[int, str]:
    """The person of each target: its label, else one for all photos that pairs connect."""
    first: dict[int, int] = {}

    def person(face: int) -> int:
        while first.setdefault(face, face) != face:
            first[face] = first[first[face]]
            face = first[face]
        return face

    for row in kept:
        one, other = person(row["at"]), person(row["of"])
        first[max(one, other, key=ids.__getitem__)] = min(one, other, key=ids.__getitem__)
    return {row["at"]: labels[row["at"]] or f"published-{ids[person(row['at'])][:_DIGITS]}" for row in kept}


def _row(row: Row, ids: list[str], parts: list[str], identity: Mapping[int, str]) -> Row:
    target, reference = row.get("at"), row.get("of")
    made = {name: row.get(name) for name in PAIRS.names} | {"strategy": STRATEGY}
    if target is not None:
        made |= {"target": ids[target], "target_part": parts[target], "identity": identity.get(target)}
    if reference is not None:
        made |= {"reference": ids[reference], "reference_part": parts[reference]}
    return made


def _others(faces: pa.Table, rows: list[Row]) -> Iterator[Row]:
    """A row for each accepted face that is no target, sorted by its id."""
    targets = {row["at"] for row in rows if "at" in row}
    accepted = np.flatnonzero(pc.is_null(faces["reject"]).to_numpy()).tolist()
    rest = pa.array([face for face in accepted if face not in targets], pa.int64())
    others = faces.select(["id", "part"]).take(rest)
    for face in sorted(others.to_pylist(), key=lambda face: str(face["id"])):
        made = {"target": face["id"], "target_part": face["part"], "strategy": STRATEGY}
        yield dict.fromkeys(PAIRS.names) | made | {"reject": str(Reject.NOT_PUBLISHED)}
