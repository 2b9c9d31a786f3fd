"""What builds found in photos, and what follows from it for groups of near copies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from facerefs.pipeline.merge.groups import Group, Signature, signature
from facerefs.stages.analyse import any_accepted, comes_back

ORIGINAL = "original"
"""A further column of rows of `FACES`: the number of the build that they are of."""


def with_original(rows: pa.Table, number: int) -> pa.Table:
    """The rows with the number of their build."""
    return rows.append_column(ORIGINAL, pa.array([number] * len(rows), pa.int64()))


@dataclass(frozen=True)
class PhotoRows:
    """A photo with rows: its key, the build that they are of, and their numbers in `KnownFaces.faces`."""

    key: str
    original: int
    rows: list[int]


@dataclass(frozen=True)
class KnownFaces:
    """Rows of `FACES` of photos, of one or several builds each."""

    faces: pa.Table
    groups: Sequence[set[Signature]]  # of each build: the groups of copies that it analysed
    at: Mapping[str, Mapping[int, list[int]]]  # for each photo and build: the numbers of its rows

    @classmethod
    def of(cls, own: pa.Table, others: pa.Table, groups: Sequence[set[Signature]]) -> "KnownFaces":
        """own: all rows of a part of `faces`; others: those of some photos, which may be in `own` again."""
        at: dict[str, dict[int, list[int]]] = {}
        for first, rows in ((0, own), (len(own), others)):
            found: dict[str, dict[int, list[int]]] = {}
            images = zip(rows["image"].to_pylist(), rows[ORIGINAL].to_pylist(), strict=True)
            for number, (image, original) in enumerate(images, first):
                found.setdefault(image, {}).setdefault(original, []).append(number)
            for image, by_original in found.items():
                at[image] = by_original | at.get(image, {})
        # The build that the part is of comes first.
        preferred = own[ORIGINAL][0].as_py() if len(own) else 0
        ordered = {
            image: dict(sorted(found.items(), key=lambda one: (one[0] != preferred, one[0])))
            for image, found in at.items()
        }
        return cls(pa.concat_tables([own, others]), groups, ordered)

    def rows_of_group(self, group: Group) -> list[PhotoRows] | None:
        """The photos of a group that have rows, in its order; None if a photo is not known that decides about them.

        As `Analyse.process` decides: a group that a build analysed has the same rows again; in another one it depends
        on the faces which near copies come back.
        """
        if len(group) > 1 and (same := self._of_same_group(group)) is not None:
            return same
        kept, *copies = group
        if (first := self._of_photo(kept)) is None:
            return None
        found, before = [first], self._values(first) if copies else []
        for copy in copies:
            if copy["certain"] and any_accepted(before):
                continue
            if (photo := self._of_photo(copy)) is None:
                return None
            faces = self._values(photo)
            if comes_back(faces, before, copy["certain"]):
                found.append(photo)
                before += faces
        return found

    def _of_same_group(self, group: Group) -> list[PhotoRows] | None:
        wanted = signature(group)
        for original, known in enumerate(self.groups):
            if wanted in known:
                photos = [(row, self.at.get(row["id"], {}).get(original, [])) for row in group]
                return [PhotoRows(row["key"], original, rows) for row, rows in photos if rows]
        return None

    def _of_photo(self, row: Mapping[str, Any]) -> PhotoRows | None:
        for original, rows in self.at.get(row["id"], {}).items():
            return PhotoRows(row["key"], original, rows)
        return None

    def _values(self, photo: PhotoRows) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.faces.take(pa.array(photo.rows, pa.int64())).to_pylist()
        return rows
