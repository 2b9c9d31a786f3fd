"""The view of samples: what is in the shards, with the degraded face, a reference and the ground truth."""

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

_COLUMNS = (
    Column("key", "Sample", "text"),
    Column("identity", "Person", "name"),
    Column("split", "Split", "choice"),
    Column("recipe", "Recipe", "choice"),
    Column("reason", "Reason", "choice", "why it was left out"),
    Column("part", "Shard", "name"),
    Column("references", "References", "number", "", 0),
)


def _rows(storage: Storage) -> pa.Table:
    columns = (
        "key",
        "identity",
        "split",
        "recipe",
        "target",
        "references",
        "reject",
        "reject_detail",
        "part",
    )
    rows = storage.scan("samples", columns)
    number = pc.fill_null(pc.list_value_length(rows["references"]), 0)
    rows = rows.set_column(rows.column_names.index("references"), "references", number)
    rows = rows.append_column("reason", pc.fill_null(rows["reject"], ACCEPTED))
    return with_choices(rows.rename_columns({"reject_detail": "why"}).drop_columns(["reject"]), _COLUMNS)


def _card(row: Row) -> Card:
    key = row["key"]
    pictures = (
        ()
        if row["reason"] != ACCEPTED
        else (
            Picture("lq", key, "degraded"),
            *((Picture("ref0", key, "reference"),) if row["references"] else ()),
            Picture("gt", key, "ground truth"),
        )
    )
    badges = [*reason_badges(row), ("split", row["split"] or "no split"), ("recipe", row["recipe"] or "–")]
    return Card(
        title=row["identity"] or "nobody",
        opens=key,
        pictures=pictures,
        badges=tuple(badges),
        figures=(("references", str(row["references"])), ("shard", row["part"])),
        detail=row["why"],
        subject=row["target"],
        choices=(Choice("Drop the target", "d", "drop", row["target"]),),
    )


SAMPLES = View(
    "samples",
    "Samples",
    "sample",
    "samples",
    "What a model gets: the degraded face, the first reference, and the ground truth.",
    _COLUMNS,
    _rows,
    _card,
)
