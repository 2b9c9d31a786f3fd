"""The view of two builds side by side: each face that the two do not treat alike."""

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.explore.views.faces import FACES
from facerefs.pipeline.explore.views.view import (
    Card,
    Column,
    Picture,
    Row,
    View,
    with_choices,
    words_of,
)
from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.join import left_join

_COMPARED = ("identity", "reason", "split")
_COLUMNS = (
    Column("id", "Face", "text"),
    Column("key", "Photo", "text"),
    Column("what", "Difference", "choice"),
    Column("identity", "Person here", "name"),
    Column("identity_there", "Person there", "name"),
    Column("reason", "Reason here", "choice"),
    Column("reason_there", "Reason there", "choice"),
    Column("split", "Split here", "choice"),
    Column("split_there", "Split there", "choice"),
)


def differences(other: Storage) -> View:
    """The view of what a build and another one do not treat alike."""
    return View(
        "differences",
        "Two builds",
        "face",
        "faces",
        f"Faces that this build and {other.address} do not treat alike: found in one only, with another person, "
        "reason or split.",
        _COLUMNS,
        lambda storage: _rows(storage, other),
        _card,
    )


def _rows(storage: Storage, other: Storage) -> pa.Table:
    here, there = (_plain(FACES.rows(one)) for one in (storage, other))
    both = left_join(
        here, "id", there.rename_columns(["id", *(f"{name}_there" for name in ("key", *_COMPARED))]), "id"
    )
    there_only = there.filter(pc.invert(pc.is_in(there["id"], value_set=here["id"].combine_chunks())))
    both = both.append_column("what", _what(both, there["id"].combine_chunks())).drop_columns(["key_there"])
    only = pa.table(
        {
            "id": there_only["id"],
            "key": there_only["key"],
            **{name: pa.nulls(len(there_only), pa.string()) for name in _COMPARED},
            **{f"{name}_there": there_only[name] for name in _COMPARED},
            "what": pa.array(["only there"] * len(there_only), pa.string()),
        }
    )
    rows = pa.concat_tables([both, only.select(both.column_names)])
    return with_choices(rows.filter(pc.is_valid(rows["what"])), _COLUMNS)


def _plain(faces: pa.Table) -> pa.Table:
    rows = faces.select(["id", "key", *_COMPARED])
    return rows.cast(pa.schema([(name, pa.string()) for name in rows.column_names]))


def _what(both: pa.Table, there: pa.Array) -> pa.ChunkedArray:
    """The first difference of each face; null where there is none."""
    what = pc.if_else(pc.is_in(both["id"], value_set=there), pa.scalar(None, pa.string()), "only here")
    for name, title in (
        ("reason", "another reason"),
        ("identity", "another person"),
        ("split", "another split"),
    ):
        differs = pc.not_equal(pc.fill_null(both[name], ""), pc.fill_null(both[f"{name}_there"], ""))
        what = pc.if_else(pc.and_(pc.is_null(what), differs), title, what)
    return what


def _card(row: Row) -> Card:
    there = row["what"] == "only there"
    return Card(
        title=row["identity"] or row["identity_there"] or "nobody",
        opens=None if there else row["id"],
        pictures=(Picture("face", row["id"], row["key"], other_build=there),),
        badges=(("unsure", row["what"]),),
        figures=(("here", _side(row, "")), ("there", _side(row, "_there"))),
        subject=None if there else row["id"],
    )


def _side(row: Row, suffix: str) -> str:
    """What a build says of a face: the person, the state and the split."""
    person, reason, split = (row[f"{name}{suffix}"] for name in _COMPARED)
    if reason is None:
        return "not found"
    return ", ".join(filter(None, (person or "nobody", words_of(reason), split)))
