"""Labels taken as hearsay: which faces keep theirs, which are someone else's, which labels are one person."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.reject import Reject
from stages.identities.operating_point import OperatingPoint
from stages.identities.people import (
    NOBODY,
    Faces,
    Outcome,
    People,
    discover,
    gather,
    nearest_other,
    one_per_photo,
    pairs_within,
    second_faces,
)
from stages.similarity import Floats, Ints, average_linkage, inner, nearest

Flags = NDArray[np.bool_]

_LEAST_TO_MERGE = 2  # faces of each of two labels that are one person
_LEAST_TO_CORRECT = 3  # faces of the person to whom a face is moved
_CANDIDATES = 16  # labels with which a label is compared
_MANY_PEOPLE = 20


_Verdict = tuple[str, str | None, str | None]  # decision, reject, why


@dataclass(frozen=True)
class _Evidence:
    """Mean cosines of each face to the core of its own person and of the nearest other one."""

    own: Floats
    other: Ints
    other_likeness: Floats


@dataclass(frozen=True)
class _Checked:
    """The result as numbers in `names`, NOBODY for nobody, and what it rests on."""

    names: list[str]  # of the labels, then of the people discovered among unlabelled faces
    start: Ints  # the label's or discovered person's own number
    asked: Ints  # after labels that are one person were merged
    person: Ints  # after wrong labels were dropped or corrected
    cores: People  # before the merge
    people: People  # after it
    evidence: _Evidence
    point: OperatingPoint


def check_labels(faces: Faces, point: OperatingPoint, neighbours: int, min_faces: int) -> Outcome:
    """Decide for every face whether its label is right.

    1. Faces of a label fall into groups (average linkage at `point.same`); the one with most photos is the
       core. A label of several faces has none if no two of different photos agree. Unlabelled faces form
       people by looks.
    2. Labels whose cores are as alike across as within are one person, and so are unlabelled people.
    3. A core face stays unless it is clearly nearer to another person. Another group (another age, another
       look) stays if it is alike enough to the core to belong, and nearer to it than to any other person.
       To be nearest to one's own of many people is evidence enough: a stranger is so one time in as many.
    4. A face that does not stay moves to another person only if it is as alike to that core as that person's
       own faces usually are, by a margin over its own; otherwise it is dropped.
    5. Nobody is twice in a photo: the face that suits best stays.
    """
    found, found_names = discover(
        faces, np.flatnonzero(faces.label == NOBODY), point.same, neighbours, min_faces
    )
    names = faces.names + found_names
    start = np.where(found >= 0, found + len(faces.names), faces.label)
    group, core = label_groups(faces, start, neighbours, point.same)
    cores = gather(faces.vectors, np.where(core, start, NOBODY), len(names))
    root = _one_person(cores, len(faces.names), point)
    asked = np.where(start >= 0, root[start], NOBODY)
    core_of = np.where(core, asked, NOBODY)
    people = gather(faces.vectors, core_of, len(names))

    evidence = _evidence(faces.vectors, asked, core, people)
    stays = _stays(group, core, evidence, point, int(np.count_nonzero(people.sizes))) & (asked >= 0)
    gain = evidence.other_likeness - np.nan_to_num(evidence.own, nan=point.different)
    moves = ~stays & (evidence.other_likeness >= point.strong) & (gain >= point.margin)
    moves &= people.sizes[evidence.other] >= _LEAST_TO_CORRECT
    person = np.where(stays, asked, np.where(moves, evidence.other, NOBODY))
    fitness = np.where(stays, np.nan_to_num(evidence.own, nan=1.0), evidence.other_likeness)
    again = one_per_photo(faces.image, person, fitness)
    person[again] = NOBODY
    checked = _Checked(names, start, asked, person, cores, people, evidence, point)
    carried = {(image, home) for image, home in zip(faces.image, person, strict=True) if home != NOBODY}
    verdicts = [
        _verdict(row, label != NOBODY, (image, home) in carried, checked)
        for row, (label, image, home) in enumerate(zip(faces.label, faces.image, asked, strict=True))
    ]
    decision, reject, why = (list(column) for column in zip(*verdicts, strict=True))
    return Outcome(names, person, asked, decision, reject, why, core_of)


def label_groups(faces: Faces, start: Ints, neighbours: int, same: float) -> tuple[Ints, Flags]:
    """The groups into which the faces of each label (number in `start`) fall, and which faces are the core.

    The core is the group with most photos, the more coherent of two equal ones. A group has one face per photo:
    nobody is twice in a photo, so a second face, however alike, says nothing for the label and stands alone.
    """
    count = len(start)
    vectors = faces.vectors
    pairs = pairs_within(vectors, start, neighbours, same)
    group = average_linkage(vectors, np.ones(count, np.int64), *pairs, same)
    second = second_faces(vectors, faces.image, group, count)
    _, row, group = np.unique(
        np.where(second, count + np.arange(count), group), return_index=True, return_inverse=True
    )
    return group, _core(vectors, start, group, start[row])


def _core(vectors: Floats, start: Ints, group: Ints, label: Ints) -> Flags:
    """label: of each group, whose faces are all of different photos."""
    people = gather(vectors, group, len(label))
    sizes, coherence = people.sizes[:-1], np.linalg.norm(people.means[:-1], axis=1)
    order = np.lexsort((-coherence, -sizes, label))
    first = np.ones(len(order), bool)
    first[1:] = label[order[1:]] != label[order[:-1]]
    chosen = order[first]
    chosen = chosen[label[chosen] >= 0]
    label_size = np.bincount(start[start >= 0], minlength=1)
    chosen = chosen[(sizes[chosen] > 1) | (label_size[label[chosen]] == 1)]
    return np.isin(group, chosen)


def _one_person(cores: People, labels: int, point: OperatingPoint) -> Ints:
    """For each label or discovered person the number of the one whose name it takes.

    Two are one if the mean cosine across is half-way or more from `same` to the mean within the looser of the
    two: a rule that holds for people whom the embedder sees as alike as for people whom it sees well apart.
    """
    size = cores.sizes.astype(np.float64)
    squared = np.einsum("ij,ij->i", cores.sums, cores.sums, dtype=np.float64)
    within = np.where(size > 1, (squared - size) / np.maximum(size * (size - 1), 1), np.nan)
    large = np.flatnonzero(size >= _LEAST_TO_MERGE)
    likeness, found = nearest(cores.means[large], _CANDIDATES)
    a, b = np.repeat(large, found.shape[1]), large[found.ravel()] if found.size else large[:0]
    wanted = (point.same + np.minimum(within[a], within[b])) / 2
    near = likeness.ravel() >= np.maximum(wanted, point.same)
    group = average_linkage(cores.sums, cores.sizes, a[near], b[near], point.same)
    # A label's name goes before a made-up one; then the larger; then the first of the alphabet.
    count = len(group)
    order = np.lexsort((np.arange(count), -cores.sizes, np.arange(count) >= labels, group))
    lead = np.empty(count, np.int64)
    first = np.ones(count, bool)
    first[1:] = group[order[1:]] != group[order[:-1]]
    lead[group[order[first]]] = order[first]
    return lead[group]


def _evidence(vectors: Floats, asked: Ints, core: Flags, people: People) -> _Evidence:
    """A core face is not compared with itself; a person without other core faces gives NaN."""
    rest = people.sizes[asked] - core
    total = inner(people.sums, vectors, asked, np.arange(len(asked))) - core
    own = np.where(rest > 0, total / np.maximum(rest, 1), np.nan).astype(np.float32)
    other, other_likeness = nearest_other(vectors, asked, people, unit=False)
    return _Evidence(own, other, other_likeness)


def _stays(group: Ints, core: Flags, evidence: _Evidence, point: OperatingPoint, people: int) -> Flags:
    """Whether a face belongs to the person it is labelled as, by steps 3 of `check_labels`."""
    own = np.where(core, np.nan_to_num(evidence.own, nan=point.same), evidence.own)
    other = np.nan_to_num(evidence.other_likeness, nan=-1.0)
    clearly_other = (other >= point.same) & (other - own > point.margin)
    size = np.maximum(np.bincount(group), 1)
    group_own = (np.bincount(group, np.nan_to_num(own, nan=-1.0)) / size)[group]
    group_other = (np.bincount(group, other) / size)[group]
    enough = point.belong if people < _MANY_PEOPLE else point.different
    belongs = (group_own >= enough) & (group_own >= group_other)
    return (core | belongs) & ~clearly_other


def _verdict(row: int, labelled: bool, carried: bool, checked: _Checked) -> _Verdict:
    """What is said of one face. carried: another face of its photo carries its label."""
    home, asked, start = (int(array[row]) for array in (checked.person, checked.asked, checked.start))
    figures = _figures(row, asked, checked)
    if home == NOBODY:
        reject = Reject.WRONG_LABEL if labelled else Reject.NO_IDENTITY
        unlike = (
            "it does not go with the other faces of the label" if labelled else "too few faces are like it"
        )
        if carried:
            unlike = "another face of the same photo suits the person better"
        return "dropped", reject, unlike + figures
    if not labelled:
        return "discovered", None, None
    if home != asked:
        return "corrected", None, f"it is {checked.names[home]!r}" + figures
    if home != start:
        return "merged", None, _merge_sentence(start, home, checked)
    return "kept", None, None


def _figures(row: int, asked: int, checked: _Checked) -> str:
    """The evidence in words: mean cosines to the faces of the labelled and of the nearest other person."""
    names, sizes, evidence = checked.names, checked.people.sizes, checked.evidence
    parts = []
    if asked != NOBODY and sizes[asked] == 0:
        parts.append(f"no two photos of {names[asked]!r} agree")
    elif asked != NOBODY and not np.isnan(evidence.own[row]):
        parts.append(f"{evidence.own[row]:.2f} alike on average to {sizes[asked]} faces of {names[asked]!r}")
    if (other := int(evidence.other[row])) != NOBODY:
        parts.append(f"{evidence.other_likeness[row]:.2f} to {sizes[other]} of {names[other]!r}")
    return f": {', '.join(parts)}" if parts else ""


def _merge_sentence(label: int, person: int, checked: _Checked) -> str:
    cores, names = checked.cores, checked.names
    pairs = int(cores.sizes[label] * cores.sizes[person])
    across = float(cores.sums[label] @ cores.sums[person]) / pairs
    return (
        f"{names[label]!r} and {names[person]!r} are one person: their {pairs} pairs of faces are "
        f"{across:.2f} alike on average, where {checked.point.same:.2f} is enough for one person"
    )
