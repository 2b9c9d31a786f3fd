"""Labels taken as hearsay: which faces keep theirs, which are someone else's, which labels are one person or two."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.centroids import Cores, cores_of
from facerefs.stages.identities.evidence import Checked, Evidence
from facerefs.stages.identities.groups import LEAST_KNOWN, Groups, further_groups, label_groups, unclaimed
from facerefs.stages.identities.label_decisions import verdicts
from facerefs.stages.identities.merging import Merged, one_person
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.overrides.lines import Words
from facerefs.stages.identities.people import NOBODY, Faces, Outcome, discover, gather, one_per_photo

Flags = NDArray[np.bool_]
Barred = tuple[Int64s, Int64s]  # faces, and who each of them is not

_LEAST_TO_CORRECT = 3  # shots of the person to whom a face is moved
_MANY_PEOPLE = 20


@dataclass(frozen=True)
class Sizes:
    """neighbours: of each face that are looked at. The fewest shots that make a person: min_faces of those nobody
    labelled, min_split of those labelled as another."""

    neighbours: int
    min_faces: int
    min_split: int


def check_labels(faces: Faces, point: OperatingPoint, words: Words, sizes: Sizes) -> Outcome:
    """Decide for every face whether its label is right. The faces of a label must be of different shots.

    1. Faces of a label fall into groups (average linkage at `point.same`); the one with most photos is the
       core, unless it is somebody else's and another group is not (`unclaimed`). A label of several faces has none
       if no two of different photos agree. Unlabelled faces form people by looks.
    2. Another group of `min_split` shots or more belongs to the label (another age, another look) if it is alike
       enough to the core, and no nearer to any other core. To be nearest to one's own of many people is evidence
       enough: a stranger is so one time in as many. If it does not belong, it is a person of its own.
    3. People whose cores are as alike across as within are one (`one_person`), whatever their labels.
    4. A face of a core stays unless it is clearly nearer to another person. Any other one stays by the rule of 2.
    5. A face that does not stay moves to another person only if it is nearer to that core than to its own by a
       margin, and as alike to it as faces of one person usually are, or else much nearer than to anybody else.
       Otherwise it is dropped. But the last one of a label none of whose faces agree stays.
    6. Nobody is twice in a photo: the face that suits best stays.

    What `words` say of names holds in 3, and who a face is not in 4 and 5.
    """
    unlabelled = np.flatnonzero(faces.label == NOBODY)
    found, found_names = discover(faces, unlabelled, point.same, sizes.neighbours, sizes.min_faces)
    labels = len(faces.names)
    start = np.where(found >= 0, found + labels, faces.label)
    group, core = label_groups(faces, start, sizes.neighbours, point.same)
    core = unclaimed(faces, start, group, core, point)
    many = len(np.unique(start[core])) >= _MANY_PEOPLE
    enough = point.different if many else point.belong
    groups = further_groups(
        faces, start, group, core, [*faces.names, *found_names], sizes.min_split, point, enough
    )
    said = words.said_of(groups.names)
    groups = groups.apart([pair[:2] for pair in said.apart])
    takes_part = np.concatenate([np.ones(groups.first, bool), ~groups.belongs, [False]])
    known = (core | (groups.name >= groups.first)) & takes_part[groups.name]
    people = gather(faces.vectors, np.where(known, groups.name, NOBODY), len(groups.names))
    merged = _with_belonging(one_person(people, range(labels, groups.first), takes_part, said, point), groups)
    asked = merged.lead[groups.name]
    core_of = np.where(known, asked, NOBODY)
    cores = cores_of(faces.vectors, faces.shot, core_of, len(groups.names))
    barred = words.barred(groups.names, merged.lead)
    evidence = _evidence(cores, asked, known, group, point, enough, barred)
    person, again = _decided(faces, asked, cores, evidence)
    return verdicts(
        faces, Checked(point, people, cores, merged, groups, asked, person, again, core_of, evidence)
    )


def _with_belonging(merged: Merged, groups: Groups) -> Merged:
    merged.lead[groups.first : -1][groups.belongs] = merged.lead[groups.owner[groups.belongs]]
    return merged


def _evidence(
    cores: Cores,
    asked: Int64s,
    core: Flags,
    group: Int64s,
    point: OperatingPoint,
    enough: float,
    barred: Barred,
) -> Evidence:
    own = cores.likeness(asked)
    other = cores.nearest_others(asked, LEAST_KNOWN, barred)
    near, following = np.nan_to_num(other.likeness, nan=-1), np.nan_to_num(other.next, nan=-1)
    # The only shot of a label is as good as one that just agrees; one of no core is like nobody.
    usual = np.where(core, np.nan_to_num(own, nan=point.same), np.nan_to_num(own, nan=-1))
    size = np.bincount(group)
    of_group = (np.bincount(group, usual) / size)[group]
    other_of_group = (np.bincount(group, near) / size)[group]
    belongs = np.where(core, 1, np.minimum(of_group - enough, of_group - other_of_group))
    foreign = np.where(near >= point.same, near - usual - point.margin, -1)
    gain = near - np.nan_to_num(own, nan=point.different)
    to_move = np.minimum(_says_so(near, near - following, point), gain - point.margin)
    to_move[cores.people.sizes[other.who] < _LEAST_TO_CORRECT] = -1
    to_stay = np.where(asked >= 0, np.minimum(belongs, -foreign), -1)
    faces, not_these = barred
    to_stay[faces[asked[faces] == not_these]] = -np.inf
    return Evidence(
        own, other.who, other.likeness, to_stay.astype(np.float32), to_move.astype(np.float32), enough
    )


def _says_so(near: Float32s, lead: Float32s, point: OperatingPoint) -> Float32s:
    """By how much its looks suffice to say who a face is. lead: over the next person.

    A stranger's nearest of many people is near, too, but hardly nearer than the next (choice, on made-up faces).
    """
    alike = np.minimum(near - point.strong, lead - point.margin / 4)
    alone = np.minimum(near - point.same, lead - 3 * point.margin / 4)
    return np.asarray(np.maximum(alike, alone))


def _decided(faces: Faces, asked: Int64s, cores: Cores, evidence: Evidence) -> tuple[Int64s, Flags]:
    """Who each face is, and which faces are nobody because another one of their photo suits better."""
    stays = evidence.to_stay >= 0
    moves = ~stays & (evidence.to_move >= 0)
    stays |= _last_of_label(asked, moves | np.isinf(evidence.to_stay), cores.people.sizes)
    person = np.where(stays, asked, np.where(moves, evidence.other, NOBODY))
    fitness = np.where(stays, np.nan_to_num(evidence.own, nan=1.0), evidence.other_likeness)
    again = one_per_photo(faces.image, person, fitness)
    return np.where(again, NOBODY, person), again


def _last_of_label(asked: Int64s, leaves: Flags, sizes: Int64s) -> Flags:
    """Faces whose label has no core, and whose others have all turned out to be someone else."""
    left = np.flatnonzero(~leaves & (asked >= 0) & (sizes[asked] == 0))
    count = np.bincount(asked[left], minlength=len(sizes))
    last = np.zeros(len(asked), bool)
    last[left] = count[asked[left]] == 1
    return last
