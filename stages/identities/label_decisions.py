"""What is said of each face whose label was checked: the decision, why, and how certain it is."""

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s
from facerefs.schemas.reject import Reject
from facerefs.stages.identities.evidence import Checked
from facerefs.stages.identities.people import NOBODY, Faces, Outcome, Texts

_DECISIONS = np.array(["dropped", "discovered", "kept", "merged", "corrected", "split"], object)
_DROPPED, _DISCOVERED, _KEPT, _MERGED, _CORRECTED, _SPLIT = range(len(_DECISIONS))


def verdicts(faces: Faces, checked: Checked) -> Outcome:
    """The result in words. Certainty is the distance to the nearest other decision, in units of half of what
    lies between usual strangers and usual faces of one person; 1 from there on."""
    labelled = faces.label != NOBODY
    code = _codes(faces, checked)
    reject = np.full(len(code), None, object)
    reject[code == _DROPPED] = np.where(labelled, Reject.WRONG_LABEL, Reject.NO_IDENTITY)[code == _DROPPED]
    return Outcome(
        names=checked.groups.names,
        lead=checked.merged.lead,
        person=checked.person,
        asked=checked.asked,
        decision=_DECISIONS[code],
        reject=reject,
        why=_why(faces, checked, code),
        certainty=_certainty(faces, checked, code),
        line=np.where(checked.asked >= 0, _line(checked), 0),
        core=checked.core_of,
    )


def _line(checked: Checked) -> NDArray[np.int64]:
    """Of `overrides.csv`, where it decided that a face goes by another name, or by its own."""
    stayed = (checked.person >= 0) & (checked.person == checked.asked)
    return np.where(stayed, checked.merged.line[checked.groups.name], 0)


def _codes(faces: Faces, checked: Checked) -> NDArray[np.int64]:
    home, label = checked.person, faces.label
    lead = np.where(label != NOBODY, checked.merged.lead[label], NOBODY)
    as_group = (checked.groups.name >= checked.groups.first) & (home == checked.asked)
    new = home >= checked.groups.first
    return np.select(
        [
            home == NOBODY,
            label == NOBODY,
            home == label,
            home == lead,
            as_group & new & (checked.groups.owner_of(home) == label),
        ],
        [_DROPPED, _DISCOVERED, _KEPT, _MERGED, _SPLIT],
        _CORRECTED,
    )


def _certainty(faces: Faces, checked: Checked, code: NDArray[np.int64]) -> Float32s:
    point, evidence, groups, merged = checked.point, checked.evidence, checked.groups, checked.merged
    stay, move = evidence.to_stay, evidence.to_move
    name = groups.name
    further = name - groups.first
    as_group = (further >= 0) & (checked.person == checked.asked)
    joined = np.nan_to_num(merged.across - merged.wanted, nan=1)[name]
    joined[name < 0] = 1
    far = np.maximum(np.maximum(evidence.enough, groups.other) - groups.own, 0)
    foreign = far[np.maximum(further, 0)] if len(far) else np.zeros(len(name))
    new = (point.strong - groups.other)[np.maximum(further, 0)] if len(far) else np.zeros(len(name))
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
            faces.label == NOBODY,
        ],
        [
            np.minimum(foreign, new),
            np.minimum(foreign, joined),
            np.minimum(move, -stay),
            _kept(checked),
            np.minimum(_kept(checked), joined),
            np.nan_to_num(evidence.own - point.same),
            move,
            -move,
        ],
        np.minimum(-stay, -move),
    )
    margin[checked.again] = 0
    return np.asarray(np.clip(margin / (2 * point.margin), 0, 1), np.float32)


def _kept(checked: Checked) -> Float32s:
    """By how much a face may keep its name. Of the core, too, as if it had to show that it belongs."""
    own = np.nan_to_num(checked.evidence.own, nan=checked.point.same)
    shown = np.minimum(checked.evidence.to_stay, own - checked.evidence.enough)
    return np.where(checked.evidence.to_stay >= 0, shown, -checked.evidence.to_move)


def _why(faces: Faces, checked: Checked, code: NDArray[np.int64]) -> Texts:
    why = np.full(len(code), None, object)
    carried = _carried(faces, checked)
    sentences: dict[tuple[int, int], str] = {}
    for row in np.flatnonzero((code != _KEPT) & (code != _DISCOVERED)).tolist():
        person, name = int(checked.person[row]), int(checked.groups.name[row])
        if code[row] == _DROPPED:
            why[row] = _dropped(row, bool(carried[row]), faces, checked)
        elif code[row] == _CORRECTED and not (name >= checked.groups.first and person == checked.asked[row]):
            why[row] = f"it is {checked.groups.names[person]!r}" + _figures(row, checked)
        else:
            if (name, person) not in sentences:
                sentences[name, person] = _of_names(name, person, faces, checked)
            why[row] = sentences[name, person]
    return why


def _carried(faces: Faces, checked: Checked) -> NDArray[np.bool_]:
    """True where a face of the photo is whom the label names."""
    count = len(checked.groups.names) + 1
    there = checked.person >= 0
    carried = faces.image[there] * count + checked.person[there]
    return np.isin(faces.image * count + checked.asked, carried) & (checked.asked >= 0)


def _dropped(row: int, carried: bool, faces: Faces, checked: Checked) -> str:
    if carried:
        unlike = "another face of the same photo suits the person better"
    elif faces.label[row] != NOBODY:
        unlike = "it does not go with the other faces of the label"
    else:
        unlike = "too few faces are like it"
    return unlike + _figures(row, checked)


def _figures(row: int, checked: Checked) -> str:
    """The evidence in words: mean cosines to the faces of the labelled and of the nearest other person."""
    names, sizes, evidence = checked.groups.names, checked.cores.people.sizes, checked.evidence
    asked, other = int(checked.asked[row]), int(evidence.other[row])
    parts = []
    if asked != NOBODY and sizes[asked] == 0:
        parts.append(f"no two photos of {names[asked]!r} agree")
    elif asked != NOBODY and not np.isnan(evidence.own[row]):
        parts.append(f"{evidence.own[row]:.2f} alike on average to {sizes[asked]} faces of {names[asked]!r}")
    if other != NOBODY:
        parts.append(f"{evidence.other_likeness[row]:.2f} to {sizes[other]} of {names[other]!r}")
    return f": {', '.join(parts)}" if parts else ""


def _of_names(name: int, person: int, faces: Faces, checked: Checked) -> str:
    """Why all faces of a label, or of a further group of one, are somebody of another name."""
    people, groups, names = checked.people, checked.groups, checked.groups.names
    further = name - groups.first
    if further >= 0 and not groups.belongs[further]:
        label = names[groups.owner[further]]
        text = f"{groups.size[further]} faces of {label!r} are another person, {names[person]!r}"
        figures = f"{groups.within[further]:.2f} alike on average among themselves"
        if groups.own[further] > -1:
            figures += f", {groups.own[further]:.2f} to the others of {label!r}"
        if name != person and people.sizes[person]:
            across = float(people.means[name] @ people.means[person])
            figures += f", {across:.2f} to {people.sizes[person]} faces of {names[person]!r}"
        elif groups.other[further] > -1:
            figures += f", {groups.other[further]:.2f} at most to anybody else"
        return f"{text}: {figures}"
    label = int(groups.owner[further]) if further >= 0 else name
    pairs = int(people.sizes[label] * people.sizes[person])
    across = float(people.means[label] @ people.means[person])
    return (
        f"{names[label]!r} and {names[person]!r} are one person: their {pairs} pairs of faces are "
        f"{across:.2f} alike on average, where {checked.point.same:.2f} is enough for one person"
    )
