"""The face that a published list means by the name of a photo, or the reason why there is none."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.schemas.reject import Reject
from facerefs.stages.given.photo_names import PhotoNames

OF_QUALITY = (
    Reject.FACE_TOO_SMALL,
    Reject.FACE_CUT,
    Reject.FACE_BLURRED,
    Reject.FACE_TURNED,
    Reject.LOW_QUALITY,
)
"""Reasons of `analyse` for which a published face is reported, not left out: such a face has a crop."""

GIVEN_FACES_READS: Mapping[str, tuple[str, ...]] = {
    "sources": ("key", "reject", "reject_detail"),
    "downloads": ("key", "reject", "reject_detail"),
    "images": ("key", "reject", "reject_detail"),
    "duplicates": ("key", "kept_key", "reject"),
}
"""The columns that are read beside those of `faces`: id, key, reject, reject_detail."""

Refusal = tuple[Reject, str]
_SHOWN = 3


@dataclass(frozen=True)
class GivenFaces:
    """The faces of a build, found by the names of their photos."""

    names: PhotoNames
    of_photo: Mapping[str, list[tuple[int, str | None, str | None]]]  # row in `faces`, reject, reject_detail
    same_bytes: Mapping[str, str]  # key of a dropped photo -> key of the one with the same bytes
    refused: Mapping[str, str]  # key -> why the photo has no faces
    dropped: frozenset[int]  # rows in `faces` that a person dropped

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table]) -> "GivenFaces":
        """From GIVEN_FACES_READS, `faces`, `labels`, `identities` and the lines of `overrides` that drop."""
        faces = tables["faces"]
        of_photo: dict[str, list[tuple[int, str | None, str | None]]] = defaultdict(list)
        for row, face in enumerate(faces.select(["key", "reject", "reject_detail"]).to_pylist()):
            of_photo[face["key"]].append((row, face["reject"], face["reject_detail"]))
        refused = {
            row["key"]: f"{row['reject']}: {row['reject_detail'] or Reject(row['reject']).sentence}"
            for table in ("sources", "downloads", "images")
            for row in tables[table].filter(pc.is_valid(tables[table]["reject"])).to_pylist()
        }
        duplicates = tables["duplicates"].filter(pc.is_valid(tables["duplicates"]["reject"])).to_pylist()
        exact = {row["key"]: row["kept_key"] for row in duplicates if row["reject"] == Reject.DUPLICATE_EXACT}
        refused |= {row["key"]: row["reject"] for row in duplicates if row["key"] not in exact}
        dropped = _dropped(tables)
        return cls(PhotoNames(tables["sources"]["key"].to_pylist()), of_photo, exact, refused, dropped)

    def find(self, name: str) -> int | Refusal:
        """The row of `faces` that is meant by the name of a photo; else why there is none."""
        keys = self.names.find(name)
        if not keys:
            return Reject.PHOTO_UNKNOWN, _quoted(name)
        if len(keys) > 1:
            some = ", ".join(map(_quoted, sorted(keys)[:_SHOWN]))
            return Reject.PHOTO_AMBIGUOUS, f"{_quoted(name)} fits {len(keys)} photos, such as {some}"
        return self._face(name, self.same_bytes.get(keys[0], keys[0]))

    def _face(self, name: str, key: str) -> int | Refusal:
        found = self.of_photo.get(key, [])
        accepted = [row for row, reject, _ in found if reject is None]
        reported = [row for row, reject, _ in found if reject in OF_QUALITY]
        usable = accepted or reported
        if self.dropped.intersection(usable):
            return Reject.DROPPED_BY_PERSON, f"{_quoted(name)}: {Reject.DROPPED_BY_PERSON.sentence}"
        if len(usable) > 1:
            return Reject.SEVERAL_FACES, f"{_quoted(name)} shows {len(usable)} faces"
        if usable:
            return usable[0]
        why = self.refused.get(key) or next(
            (f"{reject}: {detail}" for _, reject, detail in found), "it is in no table"
        )
        return Reject.PHOTO_UNUSABLE, f"{_quoted(name)}: {why}"


def _dropped(tables: Mapping[str, pa.Table]) -> frozenset[int]:
    """The rows of `faces` that a person dropped, by face or by name; also of faces that have no identity."""
    what = set(tables["overrides"]["what"].to_pylist())
    identities, labels = tables["identities"], tables["labels"]
    rejected = identities.filter(
        pc.equal(identities["reject"], str(Reject.DROPPED_BY_PERSON)).fill_null(False)
    )
    faces = what | set(rejected["face"].to_pylist())
    faces |= {row["face"] for row in labels.to_pylist() if row["label"] in what}
    return frozenset(at for at, face in enumerate(tables["faces"]["id"].to_pylist()) if face in faces)


def _quoted(name: str) -> str:
    return repr(name if len(name) <= 200 else name[:197] + "...")


def people_of(
    faces: pa.Table, labels: pa.Table, identities: pa.Table
) -> tuple[list[str | None], list[str | None]]:
    """For each face its label, and the person to whom the build's labels and clusters assign it; None for none."""
    label = dict(zip(labels["face"].to_pylist(), labels["label"].to_pylist(), strict=True))
    known = identities.filter(pc.is_null(identities["reject"]))
    person = dict(zip(known["face"].to_pylist(), known["identity"].to_pylist(), strict=True))
    ids = faces["id"].to_pylist()
    return [label.get(face) for face in ids], [person.get(face) for face in ids]
