"""`audit.html`: the findings of an audit with the pictures of the worst, in one file that loads nothing."""

from dataclasses import dataclass

from facerefs.pipeline.audit.audit import Audit
from facerefs.pipeline.audit.pairs import FlaggedPair
from facerefs.pipeline.audit.splits import StrayPerson, StrayShot
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.page_template import render
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.guard import Guard

_WORST = 12


@dataclass(frozen=True)
class ShownPair:
    """A flagged pair with its pictures."""

    pair: FlaggedPair
    target: Picture | None
    reference: Picture | None


@dataclass(frozen=True)
class ShownGuard:
    """A guard, how many pairs it speaks against, and the worst of them."""

    guard: Guard
    total: int
    worst: list[ShownPair]


@dataclass(frozen=True)
class ShownPerson:
    """A person in two splits, with a face of each."""

    person: StrayPerson
    faces: list[tuple[str, Picture | None]]


@dataclass(frozen=True)
class ShownShot:
    """A shot in two splits, with its two pictures."""

    shot: StrayShot
    face: Picture | None
    other: Picture | None


def audit_page(storage: Storage, found: Audit, title: str) -> str:
    """The page as HTML. The same build gives the same bytes."""
    album = Album(storage)
    shots = [
        ShownShot(shot, album.face(shot.face), album.face(shot.other)) for shot in found.splits.shots[:_WORST]
    ]
    people = [
        ShownPerson(one, [(split, album.face(face)) for split, face in one.shown.items()])
        for one in found.splits.strays[:_WORST]
    ]
    return render(
        "audit.html.j2",
        title=title,
        audit=found,
        guards=[_shown(guard, found, album) for guard in Guard],
        shots=shots,
        people=people,
    )


def _shown(guard: Guard, found: Audit, album: Album) -> ShownGuard:
    worst = [
        ShownPair(pair, album.face(pair.target), album.face(pair.reference))
        for pair in found.pairs.of(guard)[:_WORST]
    ]
    return ShownGuard(guard, found.pairs.guards[guard], worst)
