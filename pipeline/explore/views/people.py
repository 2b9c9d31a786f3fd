"""The view of people: one row per identity, with its faces, samples, and how sure it is."""

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
    with_choices,
)
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import figure, plural
from facerefs.stages.join import left_join

_COLUMNS = (
    Column("identity", "Person", "text"),
    Column("split", "Split", "choice"),
    Column("faces", "Faces", "number", "that were accepted", 0),
    Column("samples", "Samples", "number", "of all recipes", 0),
    Column("relabelled", "Relabelled", "number", "faces whose label was another name", 0),
    Column("similarity", "Similarity", "number", "mean cosine to the centre", 3),
    Column("least_similarity", "Least similarity", "number", "of a face to the centre", 3),
    Column("certainty", "Least certainty", "number", "of a face"),
    Column("other_similarity", "Nearest other", "number", "largest cosine of a face to another person", 3),
)
_CHANGED = pa.array(["corrected", "merged", "split"])


def _rows(storage: Storage) -> pa.Table:
    columns = (
        "face",
        "identity",
        "decision",
        "similarity",
        "other",
        "other_similarity",
        "certainty",
        "reject",
    )
    known = storage.scan("identities", columns)
    known = known.filter(pc.and_(pc.is_null(known["reject"]), pc.is_valid(known["identity"])))
    known = known.append_column("changed", pc.is_in(known["decision"], value_set=_CHANGED).cast(pa.int32()))
    wanted = [
        ("face", "count", "faces"),
        ("changed", "sum", "relabelled"),
        ("similarity", "mean", "similarity"),
        ("similarity", "min", "least_similarity"),
        ("certainty", "min", "certainty"),
        ("other_similarity", "max", "other_similarity"),
    ]
    people = known.group_by("identity").aggregate([(column, how) for column, how, _ in wanted])
    people = people.select(["identity", *(f"{column}_{how}" for column, how, _ in wanted)])
    people = people.rename_columns(["identity", *(name for *_, name in wanted)])
    people = left_join(people, "identity", _best(known, "similarity", ("face",), ("typical",)), "identity")
    nearest = _best(known, "other_similarity", ("other",), ("other",))
    people = left_join(people, "identity", nearest, "identity")
    samples = storage.scan("samples", ("identity", "split", "reject"))
    samples = samples.filter(pc.is_null(samples["reject"]))
    number = counted(samples["identity"], "identity").rename_columns(["identity", "samples"])
    people = left_join(people, "identity", number, "identity")
    splits = samples.group_by("identity").aggregate([("split", "min")]).select(["identity", "split_min"])
    people = left_join(people, "identity", splits.rename_columns(["identity", "split"]), "identity")
    at = people.column_names.index("samples")
    people = people.set_column(at, "samples", pc.fill_null(people["samples"], 0))
    order = pc.sort_indices(people, [("faces", "descending"), ("identity", "ascending")])
    return with_choices(people.take(order), _COLUMNS)


def _best(known: pa.Table, by: str, columns: tuple[str, ...], names: tuple[str, ...]) -> pa.Table:
    """Of each identity the columns of its row with the largest value of `by`."""
    order = pc.sort_indices(known, [(by, "descending"), ("face", "ascending")])
    rows = known.select(["identity", *columns]).take(order)
    rows = rows.append_column("at", pa.array(range(len(rows)), pa.int64()))
    at = rows.group_by("identity").aggregate([("at", "min")])["at_min"]
    return rows.take(at).select(["identity", *columns]).rename_columns(["identity", *names])


def _card(row: Row) -> Card:
    name = row["identity"]
    badges = [("split", row["split"])] if row["split"] else []
    if row["relabelled"]:
        badges.append(("corrected", f"{row['relabelled']} relabelled"))
    return Card(
        title=name,
        opens=None,
        pictures=(Picture("face", row["typical"], plural(row["faces"], "face")),),
        badges=tuple(badges),
        figures=(
            ("similarity", figure(row["similarity"])),
            ("least certainty", figure(row["certainty"], 2)),
            ("samples", str(row["samples"])),
        ),
        detail=f"nearest other: {row['other']}, up to {figure(row['other_similarity'])}"
        if row["other"]
        else None,
        subject=name,
        choices=(Choice("Drop this person", "d", "drop", name),),
        more=(("faces", {"identity": name, "sort": "-similarity"}),),
    )


PEOPLE = View(
    "people",
    "People",
    "person",
    "people",
    "Those with most faces first. The picture is the most typical face.",
    _COLUMNS,
    _rows,
    _card,
)
