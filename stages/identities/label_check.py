"""Check labels against embeddings: keep, correct or drop each face, merge labels of one person, split labels of two."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.centroids import Centroids, centroids_of
from facerefs.stages.identities.evidence import Evidence, LabelCheck
from facerefs.stages.identities.groups import (
    MIN_SHOTS_TO_COMPARE,
    Groups,
    further_groups,
    label_groups,
    replace_foreign_cores,
)
from facerefs.stages.identities.initial_people import initial_people
from facerefs.stages.identities.label_decisions import label_decisions
from facerefs.stages.identities.merging import MergedNames, merge_names
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.overrides.lines import IdentityOverrides
from facerefs.stages.identities.people import (
    UNASSIGNED,
    Faces,
    IdentityAssignment,
    not_best_in_photo,
    sum_by_person,
)

Flags = NDArray[np.bool_]
Excluded = tuple[Int64s, Int64s]  # pairs of a face (row) and a person it does not show

_LEAST_TO_CORRECT = 3  # shots of the person to whom a face is moved
_MANY_PEOPLE = 20


@dataclass(frozen=True)
class ClusterLimits:
    """The settings of `Cluster` that the check needs.

    neighbours: nearest faces compared with each face. min_faces: fewest shots of a person found without labels.
    min_split: fewest shots for a person of their own among faces labelled as somebody else.
    """

    neighbours: int
    min_faces: int
    min_split: int


def check_labels(
    faces: Faces, point: OperatingPoint, overrides: IdentityOverrides, limits: ClusterLimits
) -> IdentityAssignment:
    """Decide for every face whether its label is right. The faces of a label must be of different shots.

    1. Faces of a label fall into groups (average linkage at `point.same`); the one with most photos is the
       core, unless it shows somebody else and another group does not (`replace_foreign_cores`). A label of
       several faces has no core if no two of different photos agree. Unlabelled faces are clustered, together with
       the faces that are the only ones of their label: a person found around one has its label.
    2. Another group of `min_split` shots or more belongs to the label (another age or style) if it is similar
       enough to the core, and no nearer to any other core. Among many people, being nearest to its own label is
       strong evidence: by chance that happens once in as many people. A group that does not belong becomes a
       person of its own.
    3. People are merged if they are as similar to each other as within themselves (`merge_names`), whatever their
       labels.
    4. A face of a core stays unless it is clearly nearer to another person. Other faces stay by the rule of 2.
    5. A face that does not stay moves to another person only if it is nearer to that core than to its own by a
       margin, and as similar to it as faces of one person usually are, or much nearer to it than to anybody else.
       Otherwise it is dropped. But the only face of a label stays, and so does the last one of a label none of whose
       faces agree.
    6. Nobody is twice in a photo: the face that suits best stays.

    Override lines about names apply in 3, lines that say who a face is not in 4 and 5.
    """
    initial, found_names = initial_people(faces, point.same, limits.neighbours, limits.min_faces)
    labels = len(faces.names)
    group, core = label_groups(faces, initial, limits.neighbours, point.same)
    core = replace_foreign_cores(faces, initial, group, core, point)
    many = len(np.unique(initial[core])) >= _MANY_PEOPLE
    stay_threshold = point.median_different if many else point.belong
    groups = further_groups(
        faces, initial, group, core, [*faces.names, *found_names], limits.min_split, point, stay_threshold
    )
    name_overrides = overrides.name_overrides(groups.names)
    groups = groups.separated([pair[:2] for pair in name_overrides.cannot_link])
    mergeable = np.concatenate([np.ones(groups.first, bool), ~groups.belongs, [False]])
    known = (core | (groups.name >= groups.first)) & mergeable[groups.name]
    of_known = np.where(known, groups.name, UNASSIGNED)
    people = sum_by_person(faces.vectors, of_known, len(groups.names), faces.room)
    merged = _with_belonging(
        merge_names(people, range(labels, groups.first), mergeable, name_overrides, point), groups
    )
    labelled_as = merged.merged_into[groups.name]
    centroid_of = np.where(known, labelled_as, UNASSIGNED)
    centroids = centroids_of(faces.vectors, faces.shot, centroid_of, len(groups.names), faces.room)
    excluded = overrides.excluded(groups.names, merged.merged_into)
    evidence = _evidence(centroids, labelled_as, known, group, point, stay_threshold, excluded)
    person, second_face = _assign(faces, labelled_as, centroids, evidence)
    return label_decisions(
        faces,
        LabelCheck(
            point, people, centroids, merged, groups, labelled_as, person, second_face, centroid_of, evidence
        ),
    )


def _with_belonging(merged: MergedNames, groups: Groups) -> MergedNames:
    merged.merged_into[groups.first : -1][groups.belongs] = merged.merged_into[groups.owner[groups.belongs]]
    return merged


def _evidence(
    centroids: Centroids,
    labelled_as: Int64s,
    core: Flags,
    group: Int64s,
    point: OperatingPoint,
    stay_threshold: float,
    excluded: Excluded,
) -> Evidence:
    own = centroids.similarity(labelled_as)
    other = centroids.nearest_others(labelled_as, MIN_SHOTS_TO_COMPARE, excluded)
    near, following = np.nan_to_num(other.similarity, nan=-1), np.nan_to_num(other.next_similarity, nan=-1)
    # The only shot of a label counts as just agreeing, a face without a core to compare with as similar to nobody.
    usual = np.where(core, np.nan_to_num(own, nan=point.same), np.nan_to_num(own, nan=-1))
    size = np.bincount(group)
    of_group = (np.bincount(group, usual) / size)[group]
    other_of_group = (np.bincount(group, near) / size)[group]
    belongs = np.where(core, 1, np.minimum(of_group - stay_threshold, of_group - other_of_group))
    foreign = np.where(near >= point.same, near - usual - point.margin, -1)
    gain = near - np.nan_to_num(own, nan=point.median_different)
    move_margin = np.minimum(_identification_margin(near, near - following, point), gain - point.margin)
    move_margin[centroids.people.sizes[other.person] < _LEAST_TO_CORRECT] = -1
    stay_margin = np.where(labelled_as >= 0, np.minimum(belongs, -foreign), -1)
    faces, not_these = excluded
    stay_margin[faces[labelled_as[faces] == not_these]] = -np.inf
    return Evidence(
        own,
        other.person,
        other.similarity,
        stay_margin.astype(np.float32),
        move_margin.astype(np.float32),
        stay_threshold,
    )


def _identification_margin(near: Float32s, gap: Float32s, point: OperatingPoint) -> Float32s:
    """How far a face is beyond the threshold for being identified as its nearest person; negative: it is not.

    near: mean cosine to the nearest person; gap: by how much that exceeds the mean cosine to the next person. Among
    many people a stranger's nearest is near, too, but hardly nearer than the next (choice, on synthetic faces).
    """
    alike = np.minimum(near - point.strong, gap - point.margin / 4)
    alone = np.minimum(near - point.same, gap - 3 * point.margin / 4)
    return np.asarray(np.maximum(alike, alone))


def _assign(
    faces: Faces, labelled_as: Int64s, centroids: Centroids, evidence: Evidence
) -> tuple[Int64s, Flags]:
    """The person of each face, and which faces are unassigned because another face of their photo suits better."""
    stays = evidence.stay_margin >= 0
    moves = ~stays & (evidence.move_margin >= 0)
    stays |= _last_of_label(labelled_as, moves | np.isinf(evidence.stay_margin), centroids.people.sizes)
    person = np.where(stays, labelled_as, np.where(moves, evidence.other, UNASSIGNED))
    fitness = np.where(stays, np.nan_to_num(evidence.own_similarity, nan=1.0), evidence.other_similarity)
    second_face = not_best_in_photo(faces.image, person, fitness)
    return np.where(second_face, UNASSIGNED, person), second_face


def _last_of_label(labelled_as: Int64s, leaves: Flags, sizes: Int64s) -> Flags:
    """True for the only face of a label, and where a label has no core and all its other faces are someone else's."""
    of_label = np.bincount(labelled_as[labelled_as >= 0], minlength=len(sizes))
    open_ = (sizes[labelled_as] == 0) | (of_label[labelled_as] == 1)
    left = np.flatnonzero(~leaves & (labelled_as >= 0) & open_)
    count = np.bincount(labelled_as[left], minlength=len(sizes))
    last = np.zeros(len(labelled_as), bool)
    last[left] = count[labelled_as[left]] == 1
    return last
