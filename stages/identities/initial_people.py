"""The person as whom each face begins the check of labels: its label, or a person found among faces without one."""

import numpy as np

from facerefs.schemas.arrays import Int64s
from facerefs.stages.identities.people import UNASSIGNED, Faces, discover
from facerefs.stages.search.similarity import inner


def initial_people(faces: Faces, same: float, neighbours: int, min_faces: int) -> tuple[Int64s, list[str]]:
    """The number of each face's label, or of the person found without a label, int64 (N,); and the names of the latter.

    Numbers of found people begin after those of the labels; UNASSIGNED for faces that resemble too few others. The
    only face of a label takes part in the search: a person found around it has its label. If there are several
    such labels in one person, each face without a label goes to the one that it is most similar to.
    """
    initial = faces.label.copy()
    unlabelled = initial == UNASSIGNED
    if not unlabelled.any():
        return initial, []
    single = ~unlabelled & (np.bincount(initial[~unlabelled], minlength=1)[initial] == 1)
    person, names = discover(faces, np.flatnonzero(unlabelled | single), same, neighbours, min_faces)
    holders = np.flatnonzero(single & (person >= 0))
    has_label = np.isin(np.arange(len(names)), person[holders])
    number = np.where(has_label, UNASSIGNED, len(faces.names) + np.cumsum(~has_label) - 1)
    initial[unlabelled] = np.append(number, UNASSIGNED)[person[unlabelled]]
    rows = np.flatnonzero(unlabelled & np.append(has_label, False)[person])
    initial[rows] = faces.label[_most_similar(faces, rows, holders, person)]
    return initial, [name for name, held in zip(names, has_label, strict=True) if not held]


def _most_similar(faces: Faces, rows: Int64s, holders: Int64s, person: Int64s) -> Int64s:
    """For each of `rows` the most similar one of `holders` of the same person."""
    holders = holders[np.argsort(person[holders], kind="stable")]
    start = np.searchsorted(person[holders], person[rows])
    count = np.searchsorted(person[holders], person[rows], side="right") - start
    row = np.repeat(np.arange(len(rows)), count)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    holder = holders[np.repeat(start, count) + place]
    similarity = inner(faces.vectors, faces.vectors, rows[row], holder)
    best_first = np.lexsort((place, -similarity, row))
    return np.asarray(holder[best_first][np.cumsum(count) - count])
