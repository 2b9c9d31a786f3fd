"""The rows of the table `pairs`, from the chosen pairs."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import PAIRS
from facerefs.stages.copies.copy_rule import COPY as COPY_KIND
from facerefs.stages.copies.copy_rule import UNSURE as UNSURE_KIND
from facerefs.stages.copies.copy_rule import CopyRule
from facerefs.stages.references.choice import ChosenPairs
from facerefs.stages.references.face_arrays import FaceArrays
from facerefs.stages.references.pair_overrides import PairOverrideLookup
from facerefs.stages.references.reasons import COPY, SESSION, UNSURE

_AFTER_REFERENCES = 1 << 32  # larger than any rank

Columns = Mapping[str, pa.Array | pa.ChunkedArray]


def assemble(faces: FaceArrays, parts: list[pa.Table]) -> pa.Table:
    """The table `PAIRS` in the order of the targets' ids, then of `place`, from the tables of the functions below."""
    rows = pa.concat_tables(parts, promote_options="default")
    target = rows["target"].to_numpy()
    order = np.lexsort((rows["place"].to_numpy(), faces.order[target]))
    target = pa.array(target[order])
    columns: dict[str, pa.ChunkedArray] = {
        "target": faces.id.take(target),
        "identity": faces.identity.take(target),
        "target_part": faces.part.take(target),
    }
    rows = rows.take(pa.array(order))
    for name in PAIRS.names:
        if name not in columns:
            columns[name] = rows[name] if name in rows.column_names else pa.nulls(len(rows))
    return pa.table(columns).select(PAIRS.names).cast(PAIRS)


def photo_rows(faces: FaceArrays, chosen: ChosenPairs, detail: pa.Array, strategy: str) -> pa.Table:
    """Rows of the references, and after them of the refused copies and session shots, with the reasons in `detail`."""
    refused = chosen.rank < 0
    reject = np.where(chosen.reason == COPY, Reject.COPY.value, Reject.SESSION.value)
    columns = {
        "reference": faces.id.take(pa.array(chosen.reference)),
        "reference_part": faces.part.take(pa.array(chosen.reference)),
        "rank": pa.array(chosen.rank, pa.int32(), mask=refused),
        "landmark_distance": pa.array(chosen.landmark_distance, pa.float32()),
        "similarity": pa.array(chosen.similarity, pa.float32()),
        "pose_gap": pa.array(chosen.pose_gap, pa.float32(), from_pandas=True),
        "reject": pa.array(reject, pa.string(), mask=~refused),
        "reject_detail": detail.take(pa.array(np.cumsum(refused) - 1, mask=~refused)),
    }
    return _rows(chosen.target, chosen.place + np.where(refused, _AFTER_REFERENCES, 0), strategy, columns)


def unreferenced_rows(targets: Int64s, why: pa.Array, strategy: str) -> pa.Table:
    """One row for each face that has no reference."""
    reject = pa.repeat(Reject.NO_REFERENCE.value, len(targets))
    last = np.full(len(targets), np.iinfo(np.int64).max)
    return _rows(targets, last, strategy, {"reject": reject, "reject_detail": why})


def synthesised_rows(faces: FaceArrays, targets: Int64s, photos: Int64s, number: int, seed: int) -> pa.Table:
    """Rows of `number` synthesised references for each target, made from the target itself, after its `photos`."""
    from facerefs.stages.synthesise.parameters import draw_json

    target, made = np.repeat(targets, number), np.tile(np.arange(number), len(targets))
    rank = np.repeat(photos, number) + made
    ids = faces.id.take(pa.array(target))
    drawn = [draw_json(seed, face, at) for face, at in zip(ids.to_pylist(), made.tolist(), strict=True)]
    columns = {
        "reference": ids,
        "reference_part": faces.part.take(pa.array(target)),
        "rank": pa.array(rank, pa.int32()),
        "synthesis": pa.array(drawn, pa.string()),
    }
    return _rows(target, rank, "synthesised", columns)


def elsewhere_rows(faces: FaceArrays, made: pa.Table, photos: Int64s, most: int) -> pa.Table:
    """Rows of the accepted references that were made elsewhere, at most `most` of a target, after its `photos` (N,)."""
    target = pc.index_in(made["target"], value_set=faces.id.combine_chunks())
    keep = pc.and_(pc.is_valid(target), pc.is_null(made["reject"]))
    made = (
        made.append_column("row", target).filter(keep).sort_by([("row", "ascending"), ("file", "ascending")])
    )
    target = made["row"].to_numpy().astype(np.int64)
    number = np.arange(len(target)) - np.searchsorted(target, target)
    few = number < most
    made, target, number = made.filter(pa.array(few)), target[few], number[few]
    rank = photos[target] + number
    columns = {
        "reference": faces.id.take(pa.array(target)),
        "reference_part": faces.part.take(pa.array(target)),
        "rank": pa.array(rank, pa.int32()),
        **{name: made[name] for name in ("landmark_distance", "similarity", "pose_gap", "elsewhere")},
    }
    return _rows(target, rank, "made elsewhere", columns)


def refusal_details(
    faces: FaceArrays, refused: ChosenPairs, rule: CopyRule, overrides: PairOverrideLookup
) -> pa.Array:
    """A sentence for each refused pair that says why."""
    texts = np.full(len(refused.rank), "", object)
    session, shot = refused.reason == SESSION, refused.reason != SESSION
    texts[session] = [
        f"one session: cosine {cosine:.3f} (from {rule.session_similarity:.3f})"
        for cosine in refused.similarity[session].tolist()
    ]
    texts[shot] = _of_shots(faces, refused.take(shot), rule)
    unsure = refused.reason == UNSURE
    texts[unsure] = "perhaps one shot: " + texts[unsure]
    lines = overrides.lines(refused.target, refused.reference)
    texts[lines > 0] = [f"overrides.csv, line {line}" for line in lines[lines > 0].tolist()]
    return pa.array(texts, pa.string())


def _of_shots(faces: FaceArrays, shots: ChosenPairs, rule: CopyRule) -> list[str]:
    kinds: NDArray[np.int64] = np.where(shots.reason == COPY, COPY_KIND, UNSURE_KIND)
    landmarks = faces.features.landmark_distance(shots.target, shots.reference)
    return rule.why(kinds, shots.similarity, shots.hash_distance, landmarks)


def _rows(target: Int64s, place: Int64s, strategy: str, columns: Columns) -> pa.Table:
    fixed = {"target": target, "place": place, "strategy": pa.repeat(strategy, len(target))}
    return pa.table(fixed | dict(columns))
