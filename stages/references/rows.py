"""The rows of `pairs`, from what was chosen."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import PAIRS
from facerefs.stages.copies.copy_rule import COPY as COPY_KIND
from facerefs.stages.copies.copy_rule import UNSURE as UNSURE_KIND
from facerefs.stages.copies.copy_rule import CopyRule
from facerefs.stages.references.choice import Chosen
from facerefs.stages.references.comparison import nearer_way
from facerefs.stages.references.face_arrays import Portraits
from facerefs.stages.references.pair_overrides import Verdicts
from facerefs.stages.references.reasons import COPY, SESSION, UNSURE

_AFTER_REFERENCES = 1 << 32  # more than there are ranks

Columns = Mapping[str, pa.Array | pa.ChunkedArray]


def joined(portraits: Portraits, parts: list[pa.Table]) -> pa.Table:
    """`PAIRS` in the order of the targets' ids, then of `place`, from tables of the functions below."""
    rows = pa.concat_tables(parts, promote_options="default")
    target = rows["target"].to_numpy()
    order = np.lexsort((rows["place"].to_numpy(), portraits.order[target]))
    target = pa.array(target[order])
    columns: dict[str, pa.ChunkedArray] = {
        "target": portraits.id.take(target),
        "identity": portraits.identity.take(target),
        "target_part": portraits.part.take(target),
    }
    rows = rows.take(pa.array(order))
    for name in PAIRS.names:
        if name not in columns:
            columns[name] = rows[name] if name in rows.column_names else pa.nulls(len(rows))
    return pa.table(columns).select(PAIRS.names).cast(PAIRS)


def of_photos(portraits: Portraits, chosen: Chosen, detail: pa.Array, strategy: str) -> pa.Table:
    """References, and after them the refused shots of the target, with `detail` saying why."""
    refused = chosen.rank < 0
    reject = np.where(chosen.reason == COPY, Reject.COPY.value, Reject.SESSION.value)
    columns = {
        "reference": portraits.id.take(pa.array(chosen.reference)),
        "reference_part": portraits.part.take(pa.array(chosen.reference)),
        "rank": pa.array(chosen.rank, pa.int32(), mask=refused),
        "landmark_distance": pa.array(chosen.landmark_distance, pa.float32()),
        "similarity": pa.array(chosen.similarity, pa.float32()),
        "pose_gap": pa.array(chosen.pose_gap, pa.float32(), from_pandas=True),
        "reject": pa.array(reject, pa.string(), mask=~refused),
        "reject_detail": detail.take(pa.array(np.cumsum(refused) - 1, mask=~refused)),
    }
    return _rows(chosen.target, chosen.place + np.where(refused, _AFTER_REFERENCES, 0), strategy, columns)


def without(targets: Int64s, why: pa.Array, strategy: str) -> pa.Table:
    """The faces that have no reference, one row each."""
    reject = pa.repeat(Reject.NO_REFERENCE.value, len(targets))
    last = np.full(len(targets), np.iinfo(np.int64).max)
    return _rows(targets, last, strategy, {"reject": reject, "reject_detail": why})


def synthesised(portraits: Portraits, targets: Int64s, number: int, seed: int) -> pa.Table:
    """`number` references of each of these faces that are made from the face itself."""
    from facerefs.stages.synthesise.parameters import draw_json

    target, rank = np.repeat(targets, number), np.tile(np.arange(number), len(targets))
    ids = portraits.id.take(pa.array(target))
    drawn = [draw_json(seed, face, at) for face, at in zip(ids.to_pylist(), rank.tolist(), strict=True)]
    columns = {
        "reference": ids,
        "reference_part": portraits.part.take(pa.array(target)),
        "rank": pa.array(rank, pa.int32()),
        "synthesis": pa.array(drawn, pa.string()),
    }
    return _rows(target, rank, "synthesised", columns)


def evidence(portraits: Portraits, refused: Chosen, rule: CopyRule, verdicts: Verdicts) -> pa.Array:
    """Why each of these was refused."""
    texts = np.full(len(refused.rank), "", object)
    alike, shot = refused.reason == SESSION, refused.reason != SESSION
    texts[alike] = [
        f"one session: cosine {cosine:.3f} (from {rule.session_similarity:.3f})"
        for cosine in refused.similarity[alike].tolist()
    ]
    texts[shot] = _of_shots(portraits, refused.take(shot), rule)
    unsure = refused.reason == UNSURE
    texts[unsure] = "perhaps one shot: " + texts[unsure]
    lines = verdicts.lines(refused.target, refused.reference)
    texts[lines > 0] = [f"overrides.csv, line {line}" for line in lines[lines > 0].tolist()]
    return pa.array(texts, pa.string())


def _of_shots(portraits: Portraits, shots: Chosen, rule: CopyRule) -> list[str]:
    kinds: NDArray[np.int64] = np.where(shots.reason == COPY, COPY_KIND, UNSURE_KIND)
    landmarks = nearer_way(portraits, shots.target, shots.reference, shots.landmark_distance)
    return rule.why(kinds, shots.similarity, shots.hash_distance, landmarks)


def _rows(target: Int64s, place: Int64s, strategy: str, columns: Columns) -> pa.Table:
    fixed = {"target": target, "place": place, "strategy": pa.repeat(strategy, len(target))}
    return pa.table(fixed | dict(columns))
