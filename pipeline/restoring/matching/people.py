"""The people of the references, and who is who in a photo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.matching.references import (
    TELLING_SHARPNESS,
    ComparedFace,
    Reference,
    read_reference,
)
from facerefs.pipeline.restoring.photo import Photo, read_photo
from facerefs.schemas.arrays import Float32s, Float64s

if TYPE_CHECKING:
    from facerefs.pipeline.restoring.find_faces import Engines

MOST_REFERENCES = 100
"""Photos of a person that are looked at, the first by name."""


@dataclass(frozen=True, eq=False)
class Person:
    """A person and the photos of their face; there is at least one."""

    name: str
    references: tuple[Reference, ...]

    def likeness(self, embeddings: Float32s) -> Float64s:
        """How like the person each face is (N,): the mean of its cosines to the references."""
        return np.asarray(np.mean([one.likeness(embeddings) for one in self.references], axis=0), np.float64)


@dataclass(frozen=True)
class People:
    """The people of the references. notes: what was left out of them, and what may be wrong."""

    people: tuple[Person, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.people)

    def named(self, name: str) -> Person:
        """The person of a name. Raises UserError."""
        for person in self.people:
            if person.name == name:
                return person
        names = ", ".join(person.name for person in self.people) or "none"
        raise UserError(f"--person {name} is none of the people of the references: {names}")


def read_people(
    photos: Mapping[str, Sequence[Photo | Path]], engines: "Engines", same: float, side_px: int
) -> People:
    """The people of photos by name, their faces `side_px` wide.

    same: the cosine that two faces of one person have at least.

    Photos are given as they are, or by their files, which are read one at a time. A photo that shows no face is left
    out, and noted. Of a photo with several faces the one most like the photos that show one face is taken. Raises
    UserError if a person has no photo with a face.
    """
    people, notes = [], []
    for name, own in photos.items():
        references: list[Reference] = []
        refused = []
        if len(own) > MOST_REFERENCES:
            notes.append(f"{name}: of {len(own)} references the first {MOST_REFERENCES} are used")
        for photo in own[:MOST_REFERENCES]:
            try:
                references.append(read_reference(_photo(photo), engines, side_px))
            except UserError as error:
                refused.append(str(error))
        if not references:
            raise UserError(refused[0] if refused else f"{name} has no reference photo")
        notes += [f"a reference of {name} is left out: {why}" for why in refused]
        decided, said = _decided(references, same)
        notes += said
        people.append(Person(name, tuple(decided)))
    return People(tuple(people), tuple(notes))


def _photo(given: Photo | Path) -> Photo:
    return read_photo(given) if isinstance(given, Path) else given


def _decided(references: Sequence[Reference], same: float) -> tuple[list[Reference], list[str]]:
    """The references, each with the face of the person where others tell which it is, and notes with the figures."""
    singles = [one.faces[0].embedding for one in references if len(one.faces) == 1]
    decided, notes = [], []
    for reference in references:
        if len(reference.faces) == 1:
            decided.append(reference)
        elif not singles:
            decided.append(reference)
            notes.append(
                f"reference {reference.path} shows {len(reference.faces)} faces: the one most like the face to "
                "restore is taken"
            )
        else:
            own = np.stack([face.embedding for face in reference.faces]).astype(np.float64)
            cosines = (own @ np.stack(singles).T).mean(axis=1)
            taken = int(cosines.argmax())
            others = ", ".join(
                f"{value:.3f}" for value in sorted(np.delete(cosines, taken), reverse=True)[:3]
            )
            decided.append(replace(reference, faces=(reference.faces[taken],)))
            notes.append(
                f"reference {reference.path} shows {len(reference.faces)} faces: the one most like the other "
                f"references was taken ({cosines[taken]:.3f}; the others {others})"
            )
    return decided, [*notes, *_strangers(decided, same)]


def _strangers(references: Sequence[Reference], same: float) -> list[str]:
    """References that do not look like the others of the person; of two nobody knows which is the wrong one."""
    notes = []
    for number, reference in enumerate(references):
        rest = [one for other, one in enumerate(references) if other != number]
        if len(rest) < 2:
            return []
        cosine = float(np.mean([one.likeness(reference.faces[0].embedding[None])[0] for one in rest]))
        if cosine < same:
            notes.append(
                f"reference {reference.path} seems to be of somebody else: its similarity to the others of the person "
                f"is {cosine:.3f}, and two photos of one person have {same:g} or more"
            )
    return notes


@dataclass(frozen=True)
class WhoIsIt:
    """Whose face it is, with the similarity.

    doubt: why that may be wrong. why_none: if no person is taken; kind: the same in few words.
    """

    person: Person | None = None
    similarity: float | None = None
    doubt: str | None = None
    why_none: str | None = None
    kind: str | None = None


NO_REFERENCE = "without a reference"
_TWICE = "second face like a person"
_NOBODY = "like nobody of the references"


def who_is_who(
    faces: Sequence[ComparedFace],
    people: Sequence[Person],
    same: float,
    asked: Person | None = None,
    known: Mapping[int, Person] = MappingProxyType({}),
    least_blurred: float = -1.0,
) -> list[WhoIsIt]:
    """Whose each face of one photo is: no two are the same person, the better match wins.

    same: the cosine that two faces of one person have at least. A face below it is nobody's, unless it is too blurred
    to tell and has `least_blurred` at least, or there are only one face and one person. asked: the person that one of
    the faces is, whatever its similarity: the face most like them. known: whose some of the faces are, by their
    numbers, from other frames.
    """
    if not people or not faces:
        return [WhoIsIt(why_none="it has no reference", kind=NO_REFERENCE) for _ in faces]
    embeddings = np.stack([face.embedding for face in faces])
    likeness = np.stack([person.likeness(embeddings) for person in people], axis=1)
    found = {face: people.index(person) for face, person in known.items()}
    if asked is not None and people.index(asked) not in found.values():
        found[int(likeness[:, people.index(asked)].argmax())] = people.index(asked)
    only = likeness.size == 1
    for place in np.argsort(-likeness, axis=None, kind="stable"):
        face, person = divmod(int(place), len(people))
        least = least_blurred if faces[face].sharpness < TELLING_SHARPNESS else same
        told = likeness[face, person] >= least or only
        if face not in found and person not in found.values() and told:
            found[face] = person
    return [
        _matched(face, people, likeness, found, faces[face], same, asked)
        if face in found
        else _unmatched(face, people, likeness, found, same)
        for face in range(len(faces))
    ]


def _matched(
    number: int,
    people: Sequence[Person],
    likeness: Float64s,
    found: Mapping[int, int],
    face: ComparedFace,
    same: float,
    asked: Person | None,
) -> WhoIsIt:
    person, similarity = people[found[number]], float(likeness[number, found[number]])
    doubt = None
    if similarity < same:
        whom = (
            f"as asked by --person, {person.name} is taken" if person is asked else f"{person.name} is taken"
        )
        blurred = face.sharpness < TELLING_SHARPNESS
        kind = "may not be" if blurred else "does not look like"
        doubt = (
            f"it {kind} {person.name}: their similarity is {similarity:.3f}, and two photos of one person have "
            f"{same:g} or more; {whom}"
        )
        if blurred:
            doubt += (
                f"; the face is so blurred (sharpness {face.sharpness:.1f}, a sharp one has 40) that the right person "
                "may have less, too"
            )
    return WhoIsIt(person, similarity, doubt)


def _unmatched(
    number: int, people: Sequence[Person], likeness: Float64s, found: Mapping[int, int], same: float
) -> WhoIsIt:
    best = int(likeness[number].argmax())
    name, similarity = people[best].name, float(likeness[number, best])
    winner = next((face for face, person in found.items() if person == best), None)
    if winner is not None and similarity >= same:
        kind = _TWICE
        why = (
            f"it looks like {name} ({similarity:.3f}), but face {winner + 1} of this photo is taken for {name} "
            f"({likeness[winner, best]:.3f}), and nobody is in a photo twice"
        )
    else:
        kind = _NOBODY
        why = (
            f"it is like nobody of the references: most like {name}, {similarity:.3f}, and two photos of one person "
            f"have {same:g} or more"
        )
    return WhoIsIt(similarity=similarity, why_none=why, kind=kind)
