"""The views of two faces: pairs of targets and references, and faces that show the same shot."""

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.explore.views.view import (
    ACCEPTED,
    Card,
    Choice,
    Column,
    Picture,
    Row,
    View,
    reason_badges,
    with_choices,
)
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import figure
from facerefs.stages.join import left_join

_PAIR = (
    "target",
    "reference",
    "identity",
    "rank",
    "landmark_distance",
    "similarity",
    "pose_gap",
    "strategy",
    "synthesis",
    "elsewhere",
    "guards",
    "guard_detail",
    "reject",
    "reject_detail",
)
_PAIR_COLUMNS = (
    Column("target", "Target", "text"),
    Column("reference", "Reference", "text"),
    Column("identity", "Person", "name"),
    Column("reason", "Reason", "choice", "why it is no reference"),
    Column("split", "Split", "choice"),
    Column("made", "Reference is", "choice", "a photo, or made of the target"),
    Column("guard", "Warning", "choice", "what speaks against a published pair"),
    Column("rank", "Rank", "number", "0 is the best", 0),
    Column("landmark_distance", "Landmarks", "number", "distance, share of the crop's side", 4),
    Column("similarity", "Similarity", "number", "cosine", 3),
    Column("pose_gap", "Pose gap", "number", "degrees", 0),
)
_COPY = (
    "face",
    "other",
    "kind",
    "mirrored",
    "hash_distance",
    "landmark_distance",
    "similarity",
    "certainty",
    "why",
)
_COPY_COLUMNS = (
    Column("face", "Face", "text"),
    Column("other", "Other face", "text"),
    Column("identity", "Person", "name"),
    Column("other_identity", "Other person", "name"),
    Column("kind", "Kind", "choice"),
    Column("names", "Names", "choice"),
    Column("certainty", "Certainty", "number", "0: on the edge"),
    Column("similarity", "Similarity", "number", "cosine", 3),
    Column("hash_distance", "Hash distance", "number", "bits", 0),
    Column("landmark_distance", "Landmarks", "number", "distance, share of the crop's side", 4),
)


def _pair_rows(storage: Storage) -> pa.Table:
    rows = storage.scan("pairs", _PAIR)
    rows = rows.filter(pc.is_valid(rows["reference"]))
    made = pc.if_else(
        pc.is_valid(rows["synthesis"]),
        "synthesised",
        pc.if_else(pc.is_valid(rows["elsewhere"]), "elsewhere", "photo"),
    )
    guard = pc.if_else(
        pc.greater(pc.fill_null(pc.list_value_length(rows["guards"]), 0), 0),
        pc.binary_join(rows["guards"], ", "),
        None,
    )
    samples = storage.scan("samples", ("target", "split"))
    first = samples.group_by("target").aggregate([("split", "min")]).select(["target", "split_min"])
    rows = left_join(rows, "target", first.rename_columns(["target", "split"]), "target")
    rows = rows.append_column("reason", pc.fill_null(rows["reject"], ACCEPTED))
    rows = rows.append_column("why", pc.coalesce(rows["reject_detail"], rows["guard_detail"]))
    rows = rows.append_column("made", made).append_column("guard", guard)
    return with_choices(
        rows.drop_columns(["synthesis", "elsewhere", "guards", "guard_detail", "reject", "reject_detail"]),
        _PAIR_COLUMNS,
    )


def _copy_rows(storage: Storage) -> pa.Table:
    rows = storage.scan("copies", _COPY)
    names = storage.scan("identities", ("face", "identity"))
    rows = left_join(rows, "face", names, "face")
    rows = left_join(rows, "other", names.rename_columns(["face", "other_identity"]), "face")
    same = pc.equal(pc.fill_null(rows["identity"], ""), pc.fill_null(rows["other_identity"], ""))
    return with_choices(rows.append_column("names", pc.if_else(same, "one name", "two names")), _COPY_COLUMNS)


def _two_faces(one: str, two: str) -> tuple[Choice, ...]:
    if one == two:
        return (Choice("Drop the target", "d", "drop", one),)
    return (
        Choice("Two shots", "k", "keep", one, two),
        Choice("Same shot", "c", "copy", one, two),
        Choice("Same person", "s", "same", one, two),
        Choice("Two people", "f", "different", one, two),
    )


def _pair_card(row: Row) -> Card:
    made = row["made"]
    badges = list(reason_badges(row))
    if row["rank"] is not None:
        badges.append(("rank", f"rank {row['rank']}"))
    badges += [("unsure", made)] if made != "photo" else []
    badges += [("dropped", row["guard"])] if row["guard"] else []
    badges += [("split", row["split"])] if row["split"] else []
    pictures = [Picture("face", row["target"], "target")]
    if made == "photo":
        pictures.append(Picture("face", row["reference"], "reference"))
    return Card(
        title=row["identity"] or "nobody",
        opens=row["target"],
        pictures=tuple(pictures),
        badges=tuple(badges),
        figures=(
            ("landmarks", figure(row["landmark_distance"], 4)),
            ("cosine", figure(row["similarity"])),
            ("pose gap", f"{figure(row['pose_gap'], 0)}°"),
        ),
        detail=row["why"],
        choices=_two_faces(row["target"], row["reference"]) if made == "photo" else (),
    )


def _copy_card(row: Row) -> Card:
    badges = [(row["kind"], row["kind"])]
    badges += [("dropped", "two names")] if row["names"] == "two names" else []
    return Card(
        title=row["identity"] or row["other_identity"] or "nobody",
        opens=row["face"],
        pictures=(
            Picture("face", row["face"], row["identity"] or "nobody"),
            Picture("face", row["other"], row["other_identity"] or "nobody"),
        ),
        badges=tuple(badges),
        figures=(
            ("hash, bits", f"{row['hash_distance']}{', mirrored' if row['mirrored'] else ''}"),
            ("landmarks", figure(row["landmark_distance"], 4)),
            ("cosine", figure(row["similarity"])),
            ("certainty", figure(row["certainty"], 2)),
        ),
        detail=row["why"],
        choices=_two_faces(row["face"], row["other"]),
    )


PAIRS = View(
    "pairs",
    "Pairs",
    "pair",
    "pairs",
    "Targets with their references, also those that were refused as copies or shots of one session.",
    _PAIR_COLUMNS,
    _pair_rows,
    _pair_card,
)
COPIES = View(
    "copies",
    "Copies",
    "pair of faces",
    "pairs of faces",
    "Faces that show the same shot, or perhaps do.",
    _COPY_COLUMNS,
    _copy_rows,
    _copy_card,
)
