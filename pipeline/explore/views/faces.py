"""The view of faces: one row per detected face, with its person, quality, pose, split, and why it was left out."""

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.explore.views.view import (
    Card,
    Choice,
    Column,
    Picture,
    Row,
    View,
    counted,
    first_reason,
    reason_badges,
    with_choices,
)
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import figure
from facerefs.stages.join import left_join

_FACE = ("id", "key", "face_px", "sharpness", "niqe", "brisque", "yaw", "pitch", "roll", "outside")
_IDENTITY = ("identity", "decision", "similarity", "other", "other_similarity", "certainty")
_COLUMNS = (
    Column("id", "Face", "text"),
    Column("key", "Photo", "text"),
    Column("identity", "Person", "name"),
    Column("label", "Label", "name", "the name that the source gave"),
    Column("reason", "Reason", "choice", "why it was left out"),
    Column("stage", "Stage", "choice", "that left it out"),
    Column("decision", "Label was", "choice"),
    Column("split", "Split", "choice"),
    Column("certainty", "Certainty", "number", "of the person; 0: on the edge"),
    Column("similarity", "Similarity", "number", "cosine to the person's centre", 3),
    Column("other_similarity", "Nearest other", "number", "cosine to the nearest other person", 3),
    Column("face_px", "Size", "number", "side of the face in the photo, px", 0),
    Column("sharpness", "Sharpness", "number", "variance of the Laplacian", 0),
    Column("niqe", "NIQE", "number", "lower is better"),
    Column("brisque", "BRISQUE", "number", "lower is better", 1),
    Column("yaw", "Yaw", "number", "degrees", 0),
    Column("pitch", "Pitch", "number", "degrees", 0),
    Column("roll", "Roll", "number", "degrees", 0),
    Column("outside", "Outside", "number", "share of the crop outside the photo"),
    Column("references", "References", "number", "that were chosen for it", 0),
    Column("used", "Used", "number", "as a reference of others, times", 0),
)


def _rows(storage: Storage) -> pa.Table:
    faces = storage.scan("faces", (*_FACE, "reject", "reject_detail", "part"))
    labels = storage.scan("labels", ("face", "label", "reject", "reject_detail"))
    labels = labels.rename_columns(["face", "label", "label_reject", "label_why"])
    known = storage.scan("identities", ("face", *_IDENTITY, "why", "reject"))
    known = known.rename_columns(["face", *_IDENTITY, "cluster_why", "cluster_reject"])
    rows = left_join(left_join(faces, "id", labels, "face"), "id", known, "face")
    for other, key in _uses(storage):
        rows = left_join(rows, "id", other, key)
    given = storage.scan("samples", ("target", "split", "reject", "reject_detail"))
    rows = left_join(rows, "id", _first_of_each(given, ("split", "shard_reject", "shard_why")), "target")
    reasons = first_reason(
        ("analyse", rows["reject"], rows["reject_detail"]),
        ("label", rows["label_reject"], rows["label_why"]),
        ("cluster", rows["cluster_reject"], rows["cluster_why"]),
        ("select", rows["select_reject"], rows["select_why"]),
        ("shard", rows["shard_reject"], rows["shard_why"]),
    )
    for name in ("references", "used"):
        rows = rows.set_column(rows.column_names.index(name), name, pc.fill_null(rows[name], 0))
    why = pc.coalesce(reasons.pop("why"), rows["cluster_why"])
    kept = [*_FACE, "part", "label", *_IDENTITY, "split", "references", "used"]
    rows = rows.select(kept).append_column("why", why)
    for name, values in reasons.items():
        rows = rows.append_column(name, values)
    return with_choices(rows, _COLUMNS)


def _uses(storage: Storage) -> list[tuple[pa.Table, str]]:
    """Of each face: its references, the reason why it has none, and how often it is a reference."""
    pairs = storage.scan("pairs", ("target", "reference", "reject", "reject_detail"))
    chosen = pairs.filter(pc.is_null(pairs["reject"]))
    lonely = pairs.filter(pc.and_(pc.is_valid(pairs["reject"]), pc.is_null(pairs["reference"])))
    lonely = lonely.drop_columns(["reference"])
    others = chosen.filter(
        pc.not_equal(chosen["target"], chosen["reference"])
    )  # not those made of the target
    return [
        (counted(chosen["target"], "target").rename_columns(["target", "references"]), "target"),
        (_first_of_each(lonely, ("select_reject", "select_why")), "target"),
        (counted(others["reference"], "face").rename_columns(["face", "used"]), "face"),
    ]


def _first_of_each(rows: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """One row of each target, with other names for its further columns."""
    first = rows.append_column("at", pa.array(range(len(rows)), pa.int64()))
    at = first.group_by("target").aggregate([("at", "min")])["at_min"]
    return rows.take(at).rename_columns(["target", *names])


def _card(row: Row) -> Card:
    face, person = row["id"], row["identity"]
    badges = reason_badges(row)
    if row["decision"] not in (None, "kept", "discovered", "dropped"):
        badges = (*badges, (row["decision"], row["decision"]))
    if row["split"]:
        badges = (*badges, ("split", row["split"]))
    choices = [Choice("Drop", "d", "drop", face)]
    if row["stage"] != "analyse":  # whose limits no line overturns
        choices.insert(0, Choice("Keep", "k", "keep", face))
    if person:
        choices.append(Choice("Not this person", "n", "different", face, person))
    return Card(
        title=person or row["label"] or "nobody",
        opens=face,
        pictures=(Picture("face", face),),
        badges=badges,
        figures=(
            ("similarity", figure(row["similarity"])),
            ("certainty", figure(row["certainty"], 2)),
            ("size, px", figure(row["face_px"], 0)),
            ("yaw, pitch", f"{figure(row['yaw'], 0)}, {figure(row['pitch'], 0)}"),
        ),
        detail=row["why"],
        subject=None if row["stage"] == "analyse" else face,
        choices=tuple(choices),
        more=(("all faces of this person", {"identity": person}),) if person else (),
    )


FACES = View(
    "faces",
    "Faces",
    "face",
    "faces",
    "Every face that was found, also those that were left out.",
    _COLUMNS,
    _rows,
    _card,
)
