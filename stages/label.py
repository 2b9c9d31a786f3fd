"""The label of each face: the name with which its photo is listed, assigned by the box if the list has one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import LABELS
from facerefs.stages.faces.boxes import match_boxes
from facerefs.stages.join import left_join
from facerefs.stages.room import IN_MEMORY, Room

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Label:
    """Assign labels of the source to all detected faces. A whole stage, without settings.

    It is separate from the analysis so that changed labels or boxes need no new face detection. The annotations of
    a photo are its own row of the source and the rows of the same bytes, which may name other people or other
    faces. Near copies do not count: their pixels may differ.
    """

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "sources": ("key", "label", "box"),
        "duplicates": ("key", "id", "reject"),
        "faces": ("id", "image", "key", "box"),
    }
    writes: ClassVar[str] = "labels"
    version: ClassVar[int] = 2

    def process(self, tables: Mapping[str, pa.Table], room: Room = IN_MEMORY) -> pa.Table:
        """One row of `LABELS` per detected face, sorted by the id of the face; null for no label."""
        sources, faces = tables["sources"], tables["faces"]
        listed = sources.select(["key", "label", "box"]).rename_columns(["key", "label", "listed_box"])
        faces = left_join(faces.filter(pc.is_valid(faces["box"])), "key", listed, "key")
        copies = _same_bytes(tables["duplicates"], faces, sources)
        # Nearly all photos have one label for all their faces: only the others are handled one by one.
        copied = pc.is_in(faces["image"], value_set=copies["id"].combine_chunks())
        several = pc.or_(pc.is_valid(faces["listed_box"]), copied)
        plain = faces.filter(pc.invert(several)).select(["id", "label"])
        placed = _placed(faces.filter(several).to_pylist(), copies.to_pylist())
        rows = pa.concat_tables([plain, pa.Table.from_pylist(placed, plain.schema)]).sort_by("id")
        nothing = pa.nulls(len(rows), pa.string())
        return pa.table([rows["id"], rows["label"], nothing, nothing], schema=LABELS)


def _same_bytes(duplicates: pa.Table, faces: pa.Table, sources: pa.Table) -> pa.Table:
    """Id, label and box of the labelled rows that were dropped, other than by a person, for the bytes of a photo
    with faces; sorted by key.
    """
    dropped = pc.is_in(
        duplicates["reject"], value_set=pa.array([Reject.DUPLICATE_EXACT, Reject.DUPLICATE_NEAR], pa.string())
    )
    with_faces = pc.is_in(duplicates["id"], value_set=faces["image"].combine_chunks())
    itself = pc.is_in(duplicates["key"], value_set=faces["key"].combine_chunks())
    rows = duplicates.filter(pc.and_(pc.and_(dropped, with_faces), pc.invert(itself))).select(["key", "id"])
    copies = left_join(rows, "key", sources, "key").sort_by("key").select(["id", "label", "box"])
    return copies.filter(pc.is_valid(copies["label"]))


def _placed(faces: Iterable[Row], copies: Iterable[Row]) -> list[Row]:
    """Id and label of the faces of photos that have boxes or several annotations."""
    of_copies: dict[str, list[Row]] = {}
    for copy in copies:
        of_copies.setdefault(copy["id"], []).append(copy)
    placed: list[Row] = []
    for image, of_photo in groupby(sorted(faces, key=itemgetter("image")), itemgetter("image")):
        found = sorted(of_photo, key=_number)
        own = {"label": found[0]["label"], "box": found[0]["listed_box"]}
        annotations = [*([own] if own["label"] is not None else []), *of_copies.get(image, ())]
        labels = labels_of(annotations, [face["box"] for face in found])
        placed += [{"id": face["id"], "label": label} for face, label in zip(found, labels, strict=True)]
    return placed


def labels_of(annotations: list[Row], found: list[list[float]]) -> list[str | None]:
    """The label of each detected face. annotations: of the photo, its own first. found: the boxes of the faces.

    Faces that match a listed box get its label. The others get the label that is listed without a box. If there are
    several such labels they get none, or the first if no annotation has a box; later stages may correct it.
    """
    boxed = [listed for listed in annotations if listed["box"] is not None]
    placed = {listed["label"] for listed in boxed}
    loose = list(dict.fromkeys(listed["label"] for listed in annotations if listed["label"] not in placed))
    other = loose[0] if len(loose) == 1 or (loose and not boxed) else None
    meant = match_boxes([listed["box"] for listed in boxed], found)
    return [boxed[meant[face]]["label"] if face in meant else other for face in range(len(found))]


def _number(face: Row) -> int:
    """The number of a face in its photo, from the end of its id."""
    return int(face["id"].rpartition("-")[2])
