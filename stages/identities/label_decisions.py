"""The decision about each face whose label was checked, the reason, and its certainty."""

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s
from facerefs.schemas.reject import Reject
from facerefs.stages.identities.evidence import LabelCheck
from facerefs.stages.identities.people import UNASSIGNED, Faces, IdentityAssignment, Texts

_DECISIONS = np.array(["dropped", "discovered", "kept", "merged", "corrected", "split"], object)
_DROPPED, _DISCOVERED, _KEPT, _MERGED, _CORRECTED, _SPLIT = range(len(_DECISIONS))


def label_decisions(faces: Faces, checked: LabelCheck) -> IdentityAssignment:
    """The identity assignment that follows from the check of labels.

    Certainty is the distance to the nearest other decision, as a share of half the distance between the median
    cosines of different people and of one person; at most 1.
    """
    labelled = faces.label != UNASSIGNED
    code = _codes(faces, checked)
    reject = np.full(len(code), None, object)
    reject[code == _DROPPED] = np.where(labelled, Reject.WRONG_LABEL, Reject.NO_IDENTITY)[code == _DROPPED]
    return IdentityAssignment(
        names=checked.groups.names,
        merged_into=checked.merged.merged_into,
        person=checked.person,
        labelled_as=checked.labelled_as,
        decision=_DECISIONS[code],
        reject=reject,
        why=_why(faces, checked, code),
        certainty=_certainty(faces, checked, code),
        override_line=np.where(checked.labelled_as >= 0, _override_line(checked), 0),
        centroid_of=checked.centroid_of,
    )


def _override_line(checked: LabelCheck) -> NDArray[np.int64]:
    """For each face the line of `overrides.csv` that decided which name it has; 0 if none did."""
    stayed = (checked.person >= 0) & (checked.person == checked.labelled_as)
    return np.where(stayed, checked.merged.override_line[checked.groups.name], 0)


def _codes(faces: Faces, checked: LabelCheck) -> NDArray[np.int64]:
    person, label = checked.person, faces.label
    merged_into = np.where(label != UNASSIGNED, checked.merged.merged_into[label], UNASSIGNED)
    as_group = (checked.groups.name >= checked.groups.first) & (person == checked.labelled_as)
    new = person >= checked.groups.first
    return np.select(
        [
            person == UNASSIGNED,
            label == UNASSIGNED,
            person == label,
            person == merged_into,
            as_group & new & (checked.groups.owner_of(person) == label),
        ],
        [_DROPPED, _DISCOVERED, _KEPT, _MERGED, _SPLIT],
        _CORRECTED,
    )


def _certainty(faces: Faces, checked: LabelCheck, code: NDArray[np.int64]) -> Float32s:
    point, evidence, groups, merged = checked.point, checked.evidence, checked.groups, checked.merged
    stay, move = evidence.stay_margin, evidence.move_margin
    name = groups.name
    further = name - groups.first
    as_group = (further >= 0) & (checked.person == checked.labelled_as)
    merge_margin = np.nan_to_num(merged.similarity - merged.threshold, nan=1)[name]
    merge_margin[name < 0] = 1
    far = np.maximum(np.maximum(evidence.stay_threshold, groups.other_similarity) - groups.own_similarity, 0)
    foreign = far[np.maximum(further, 0)] if len(far) else np.zeros(len(name))
    new = (
        (point.strong - groups.other_similarity)[np.maximum(further, 0)] if len(far) else np.zeros(len(name))
    )
    found = name >= len(faces.names)
    margin = np.select(
        [
            code == _SPLIT,
            (code == _CORRECTED) & as_group,
            code == _CORRECTED,
            code == _KEPT,
            code == _MERGED,
            (code == _DISCOVERED) & found,
            code == _DISCOVERED,
            faces.label == UNASSIGNED,
        ],
        [
            np.minimum(foreign, new),
            np.minimum(foreign, merge_margin),
            np.minimum(move, -stay),
            _keep_margin(checked),
            np.minimum(_keep_margin(checked), merge_margin),
            np.nan_to_num(evidence.own_similarity - point.same),
            move,
            -move,
        ],
        np.minimum(-stay, -move),
    )
    margin[checked.second_face] = 0
    return np.asarray(np.clip(margin / (2 * point.margin), 0, 1), np.float32)


def _keep_margin(checked: LabelCheck) -> Float32s:
    """How far a face is from losing its name. A face of the core, too, is held against `stay_threshold`."""
    own = np.nan_to_num(checked.evidence.own_similarity, nan=checked.point.same)
    shown = np.minimum(checked.evidence.stay_margin, own - checked.evidence.stay_threshold)
    return np.where(checked.evidence.stay_margin >= 0, shown, -checked.evidence.move_margin)


def _why(faces: Faces, checked: LabelCheck, code: NDArray[np.int64]) -> Texts:
    why = np.full(len(code), None, object)
    labelled_in_photo = _labelled_person_in_photo(faces, checked)
    sentences: dict[tuple[int, int], str] = {}
    for row in np.flatnonzero((code != _KEPT) & (code != _DISCOVERED)).tolist():
        person, name = int(checked.person[row]), int(checked.groups.name[row])
        if code[row] == _DROPPED:
            why[row] = _drop_sentence(row, bool(labelled_in_photo[row]), faces, checked)
        elif code[row] == _CORRECTED and not (
            name >= checked.groups.first and person == checked.labelled_as[row]
        ):
            why[row] = f"it is {checked.groups.names[person]!r}" + _evidence_sentence(row, checked)
        else:
            if (name, person) not in sentences:
                sentences[name, person] = _name_sentence(name, person, faces, checked)
            why[row] = sentences[name, person]
    return why


def _labelled_person_in_photo(faces: Faces, checked: LabelCheck) -> NDArray[np.bool_]:
    """True for a face if a face of its photo was assigned to the person whom the label names."""
    count = len(checked.groups.names) + 1
    there = checked.person >= 0
    assigned = faces.image[there] * count + checked.person[there]
    return np.isin(faces.image * count + checked.labelled_as, assigned) & (checked.labelled_as >= 0)


def _drop_sentence(row: int, labelled_in_photo: bool, faces: Faces, checked: LabelCheck) -> str:
    if labelled_in_photo:
        reason = "another face of the same photo suits the person better"
    elif faces.label[row] != UNASSIGNED and len(np.unique(faces.image[faces.label == faces.label[row]])) == 1:
        return "the only photo of the label shows several faces: which of them is meant is not known"
    elif faces.label[row] != UNASSIGNED:
        reason = "it does not go with the other faces of the label"
    else:
        reason = "too few faces are like it"
    return reason + _evidence_sentence(row, checked)


def _evidence_sentence(row: int, checked: LabelCheck) -> str:
    """The evidence as text: mean cosines to the faces of the labelled and of the nearest other person."""
    names, sizes, evidence = checked.groups.names, checked.centroids.people.sizes, checked.evidence
    labelled_as, other = int(checked.labelled_as[row]), int(evidence.other[row])
    parts = []
    if labelled_as != UNASSIGNED and sizes[labelled_as] == 0:
        parts.append(f"no two photos of {names[labelled_as]!r} agree")
    elif labelled_as != UNASSIGNED and not np.isnan(evidence.own_similarity[row]):
        own = evidence.own_similarity[row]
        parts.append(f"{own:.2f} alike on average to {sizes[labelled_as]} faces of {names[labelled_as]!r}")
    if other != UNASSIGNED:
        parts.append(f"{evidence.other_similarity[row]:.2f} to {sizes[other]} of {names[other]!r}")
    return f": {', '.join(parts)}" if parts else ""


def _name_sentence(name: int, person: int, faces: Faces, checked: LabelCheck) -> str:
    """The reason why all faces of a label, or of one of its further groups, have another name."""
    people, groups, names = checked.people, checked.groups, checked.groups.names
    further = name - groups.first
    if further >= 0 and not groups.belongs[further]:
        label = names[groups.owner[further]]
        text = f"{groups.size[further]} faces of {label!r} are another person, {names[person]!r}"
        figures = f"{groups.within[further]:.2f} alike on average among themselves"
        if groups.own_similarity[further] > -1:
            figures += f", {groups.own_similarity[further]:.2f} to the others of {label!r}"
        if name != person and people.sizes[person]:
            across = float(people.means[name] @ people.means[person])
            figures += f", {across:.2f} to {people.sizes[person]} faces of {names[person]!r}"
        elif groups.other_similarity[further] > -1:
            figures += f", {groups.other_similarity[further]:.2f} at most to anybody else"
        return f"{text}: {figures}"
    label = int(groups.owner[further]) if further >= 0 else name
    pairs = int(people.sizes[label] * people.sizes[person])
    across = float(people.means[label] @ people.means[person])
    return (
        f"{names[label]!r} and {names[person]!r} are one person: their {pairs} pairs of faces are "
        f"{across:.2f} alike on average, where {checked.point.same:.2f} is enough for one person"
    )
