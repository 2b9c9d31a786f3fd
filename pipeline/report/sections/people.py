"""The people of a build, with some of their faces, from the most to the least typical."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.sampling import spread
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.storage.folder import Storage

_PEOPLE = 16
_FACES = 15


@dataclass(frozen=True)
class ShownFace:
    """A face of a person. similarity: cosine to the person's centre."""

    picture: Picture | None
    key: str
    label: str | None
    similarity: float | None
    decision: str


@dataclass(frozen=True)
class ShownPerson:
    """A person. decisions: counts, most frequent first; nearest: the person who is most often the nearest other one."""

    name: str
    split: str | None
    count: int
    similarity: float | None
    nearest: str | None
    nearest_similarity: float | None
    decisions: list[tuple[str, int]]
    faces: list[ShownFace]


@dataclass(frozen=True)
class PeopleSection:
    """Some of the people, those with most faces first, and the total number of people."""

    total: int
    shown: list[ShownPerson]


def identified_faces(storage: Storage) -> pa.Table:
    """The accepted rows of `identities`."""
    rows = storage.scan("identities")
    return rows.filter(pc.and_(pc.is_null(rows.column("reject")), pc.is_valid(rows.column("identity"))))


def people(storage: Storage, album: Album) -> PeopleSection:
    """The people of a build to show."""
    rows = identified_faces(storage)
    sizes = rows.group_by("identity").aggregate([("face", "count")])
    sizes = sizes.sort_by([("face_count", "descending"), ("identity", "ascending")])
    samples = storage.scan("samples", ("identity", "split"))
    splits = dict(
        zip(samples.column("identity").to_pylist(), samples.column("split").to_pylist(), strict=True)
    )
    names = spread(sizes.column("identity").to_pylist(), _PEOPLE)
    return PeopleSection(len(sizes), [_person(name, splits.get(name), rows, album) for name in names])


def typical_face(rows: pa.Table, identity: str | None) -> str | None:
    """The id of the face nearest to the centre of an identity; None if it has none. rows: as `identified_faces`."""
    if identity is None:
        return None
    faces = rows.filter(pc.equal(rows.column("identity"), identity))
    faces = faces.sort_by([("similarity", "descending"), ("face", "ascending")])
    return faces.column("face")[0].as_py() if len(faces) else None


def _person(name: str, split: str | None, rows: pa.Table, album: Album) -> ShownPerson:
    faces = rows.filter(pc.equal(rows.column("identity"), name))
    faces = faces.sort_by([("similarity", "descending"), ("face", "ascending")])
    near = faces.filter(pc.is_valid(faces.column("other"))).to_pylist()
    nearest = Counter(row["other"] for row in near).most_common(1)
    return ShownPerson(
        name=name,
        split=split,
        count=len(faces),
        similarity=pc.mean(faces.column("similarity")).as_py(),
        nearest=nearest[0][0] if nearest else None,
        nearest_similarity=max(
            (row["other_similarity"] for row in near if row["other"] == nearest[0][0]), default=None
        ),
        decisions=Counter(faces.column("decision").to_pylist()).most_common(),
        faces=[
            ShownFace(
                picture=album.face(row["face"]),
                key=album.origin(row["face"]).key,
                label=row["label"],
                similarity=row["similarity"],
                decision=row["decision"],
            )
            for row in spread(faces.to_pylist(), _FACES)
        ],
    )
