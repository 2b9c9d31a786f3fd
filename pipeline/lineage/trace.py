"""What is known of a sample, a photo or a face: where it comes from, what was decided, and what it was used for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Row = Mapping[str, Any]
"""A row of a table with the columns of `facerefs.schemas.tables`, without bytes, embeddings and landmarks."""
Kind = Literal["sample", "face", "photo", "url", "sha256", "person"]
Role = Literal["target", "reference", "synthesised", "made elsewhere"]


@dataclass(frozen=True)
class Asked:
    """What a text of the user was taken for: keys of samples, ids of faces, keys of photos.

    Of a person, `photos` are those that the source gives the name. others: further kinds that the text fits, with how
    many things of each.
    """

    text: str
    kind: Kind
    samples: tuple[str, ...] = ()
    faces: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()
    others: Mapping[Kind, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Use:
    """A sample that uses a face. role: the last two are references that were made of the face."""

    sample: str
    split: str | None
    recipe: str | None
    part: str
    face: str
    role: Role
    rank: int | None


@dataclass(frozen=True)
class Forward:
    """All that came of some photos.

    same_bytes: keys of further photos with the same bytes. dropped_for: rows of `duplicates` of the copies that were
    dropped since one of these photos is kept. kept_instead: rows of `duplicates` of these photos, where another is
    kept. pairs: refused ones too. given_pairs: published rows that led to the pairs, or that name the photos.
    """

    photos: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    same_bytes: tuple[str, ...] = ()
    dropped_for: tuple[Row, ...] = ()
    kept_instead: tuple[Row, ...] = ()
    faces: tuple[Row, ...] = ()
    identities: tuple[Row, ...] = ()
    elsewhere: tuple[Row, ...] = ()
    pairs: tuple[Row, ...] = ()
    given_pairs: tuple[Row, ...] = ()
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True)
class PhotoTrace:
    """One photo: its row of each table, None where it has none. dropped_for: rows of `duplicates` of its copies."""

    key: str
    source: Row | None
    download: Row | None
    image: Row | None
    duplicate: Row | None
    dropped_for: tuple[Row, ...]


@dataclass(frozen=True)
class FaceTrace:
    """One face, and what was decided about it. copies: rows of `copies` with the face on either side."""

    id: str
    role: str | None  # in the sample that was asked for: target, reference 0 ...
    face: Row | None
    label: Row | None
    identity: Row | None
    copies: tuple[Row, ...]


@dataclass(frozen=True)
class Candidate:
    """A face of the target's person that is not its reference, and why."""

    face: str
    landmark_distance: float | None
    similarity: float | None
    pose_gap: float | None
    why: str


@dataclass(frozen=True)
class Choice:
    """The references of a target: accepted pairs by rank, refused ones, and the others of the person.

    left_out: how many others are not listed.
    """

    target: str
    chosen: tuple[Row, ...]
    refused: tuple[Row, ...]
    others: tuple[Candidate, ...]
    left_out: int
    split: Row | None


@dataclass(frozen=True)
class SampleTrace:
    """A sample: its row of `samples`, with theta as a list of operations. given: the published degraded image."""

    key: str
    row: Row
    theta: tuple[Row, ...]
    given: Row | None


@dataclass(frozen=True)
class Trace:
    """All that a set tells of what was asked. untold: sentences about what it does not tell."""

    place: str
    whole_build: bool
    asked: Asked
    samples: tuple[SampleTrace, ...]
    photos: tuple[PhotoTrace, ...]
    faces: tuple[FaceTrace, ...]
    choices: tuple[Choice, ...]
    overrides: tuple[Row, ...]
    forward: Forward
    untold: tuple[str, ...]

    def tree(self) -> dict[str, Any]:
        """The trace as plain values, for JSON."""
        return asdict(self)
