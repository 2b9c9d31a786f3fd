"""Apply the lines of `overrides.csv` about faces to the identities that clustering assigned."""

from dataclasses import replace

import numpy as np

from facerefs.schemas.reject import Reject
from facerefs.stages.identities.centroids import Centroids
from facerefs.stages.identities.overrides.lines import FaceOverride, IdentityOverrides, person_numbers
from facerefs.stages.identities.people import UNASSIGNED, Faces, IdentityAssignment, new_name

_MAX_PASSES = 10


def apply_overrides(
    assignment: IdentityAssignment, overrides: IdentityOverrides, faces: Faces, centroids: Centroids
) -> IdentityAssignment:
    """The assignment after a person's corrections. `override_line` holds the line that decided a face."""
    if not overrides.face_lines:
        return assignment
    corrector = _Corrector(assignment, faces, centroids)
    for _ in range(_MAX_PASSES):  # a line about two faces may precede the one that says where the second goes
        before = corrector.person.copy()
        corrector.apply_all(overrides)
        if (before == corrector.person).all():
            break
    return corrector.assignment()


class _Corrector:
    """The state of the assignment while override lines are applied one after another."""

    def __init__(self, assignment: IdentityAssignment, faces: Faces, centroids: Centroids) -> None:
        self._before, self._faces, self._centroids = assignment, faces, centroids
        self._label_numbers = {name: number for number, name in enumerate(faces.names)}
        self._linked: dict[int, set[int]] = {}  # face -> all faces linked with it by `same` so far
        self.names = list(assignment.names)
        self._name_numbers = {name: number for number, name in enumerate(assignment.names)}
        self.person_numbers = person_numbers(assignment.names, assignment.merged_into)
        self.person, self.override_line = assignment.person.copy(), assignment.override_line.copy()
        self.dropped = np.zeros(len(self.person), bool)

    def apply_all(self, overrides: IdentityOverrides) -> None:
        """Apply all lines in their order."""
        self._linked.clear()
        for override in overrides.face_lines:
            self._apply(override)

    def _apply(self, override: FaceOverride) -> None:
        match override.decision:
            case "drop":
                self._drop(override)
            case "keep":
                self._keep(override)
            case "same":
                self._same(override)
            case "different":
                self._different(override)

    def _set(self, row: int, person: int, line: int, *, dropped: bool = False) -> None:
        self.person[row], self.override_line[row], self.dropped[row] = person, line, dropped

    def _unlink(self, row: int) -> None:
        """Take a face out of its linked faces, since a later line decides about it alone."""
        self._linked.pop(row, {row}).discard(row)

    def _drop(self, override: FaceOverride) -> None:
        rows = list(override.rows)
        if not rows and override.name is not None:
            label, person = self._label_numbers.get(override.name), self._name_numbers.get(override.name)
            named = np.zeros(len(self.person), bool)
            for numbers, number in ((self._faces.label, label), (self.person, person)):
                if number is not None:
                    named |= numbers == number
            named |= np.isin(self._faces.shot, self._faces.shot[named])  # copies under other names, too
            rows = np.flatnonzero(named).tolist()
        for row in rows:
            self._unlink(row)
            self._set(row, UNASSIGNED, override.line, dropped=True)

    def _keep(self, override: FaceOverride) -> None:
        rows = np.array(override.rows)
        targets = np.array([self._person_to_keep(row) for row in override.rows])
        fitness = np.nan_to_num(self._centroids.similarity_of(rows, targets), nan=-1)
        there = self.person[rows] == targets
        best = int(np.lexsort((rows, -self._faces.size_px[rows], -fitness, ~there))[0])
        self._unlink(int(rows[best]))
        self._set(int(rows[best]), int(targets[best]), override.line)

    def _person_to_keep(self, row: int) -> int:
        """The person of a face to keep: that of its label, else the one it is assigned to, else a new one."""
        label = int(self._faces.label[row])
        if label != UNASSIGNED and self._faces.names[label] in self.person_numbers:
            return self.person_numbers[self._faces.names[label]]
        if self.person[row] != UNASSIGNED:
            return int(self.person[row])
        return self._number_of(
            self._faces.names[label] if label != UNASSIGNED else new_name(self._faces.id[row])
        )

    def _number_of(self, name: str) -> int:
        if name not in self.person_numbers:
            self.person_numbers[name] = len(self.names)
            self.names.append(name)
        return self.person_numbers[name]

    def _same(self, override: FaceOverride) -> None:
        row = override.rows[0]
        target, linked = UNASSIGNED, self._linked.get(row, {row})
        if override.name is not None:
            target = self.person_numbers.get(override.name, UNASSIGNED)
        elif override.other is not None:
            linked = linked | self._linked.get(override.other, {override.other})
            self._linked |= dict.fromkeys(linked, linked)
            assigned = [
                int(self.person[face]) for face in (override.other, row) if self.person[face] != UNASSIGNED
            ]
            target = assigned[0] if assigned else self._number_of(new_name(self._faces.id[override.other]))
        if target != UNASSIGNED:
            for face in linked:
                self._set(face, target, override.line)

    def _different(self, override: FaceOverride) -> None:
        row = override.rows[0]
        if override.name is not None:
            if override.name in self.person_numbers:
                for face in self._same_shot_rows(row):
                    person = int(self.person[face])
                    self._unlink(face)
                    self._set(
                        face,
                        UNASSIGNED if person == self.person_numbers[override.name] else person,
                        override.line,
                    )
        elif override.other is not None and self.person[row] == self.person[override.other] != UNASSIGNED:
            two = np.array([row, override.other])
            fitness = np.nan_to_num(self._centroids.similarity_of(two, self.person[two]), nan=-1)
            leaves = int(two[np.lexsort((-two, fitness, self.override_line[two] > 0))[0]])
            self._unlink(leaves)
            self._set(leaves, UNASSIGNED, override.line)

    def _same_shot_rows(self, row: int) -> list[int]:
        """The faces of the same shot and label as a face: what holds for one holds for all."""
        shot, label = self._faces.shot, self._faces.label
        return np.flatnonzero((shot == shot[row]) & (label == label[row])).tolist()

    def assignment(self) -> IdentityAssignment:
        """The corrected assignment."""
        before = self._before
        decision, reject, why = before.decision.copy(), before.reject.copy(), before.why.copy()
        for row in np.flatnonzero(self.override_line):
            person, label = int(self.person[row]), int(self._faces.label[row])
            name = None if label == UNASSIGNED else self._faces.names[label]
            decision[row] = self._decision(name, person, str(before.decision[row]))
            reject[row] = None
            if person == UNASSIGNED:
                lost = Reject.NO_IDENTITY if name is None else Reject.WRONG_LABEL
                reject[row] = Reject.DROPPED_BY_PERSON if self.dropped[row] else lost
        more = np.arange(len(before.names), len(self.names))
        merged_into = np.concatenate([before.merged_into[:-1], more, [UNASSIGNED]])
        return replace(
            before,
            names=self.names,
            merged_into=merged_into,
            person=self.person,
            decision=decision,
            reject=reject,
            why=why,
            override_line=self.override_line,
        )

    def _decision(self, label: str | None, person: int, before: str) -> str:
        if person == UNASSIGNED:
            return "dropped"
        if label == self.names[person]:
            return "kept"
        if label is None or label not in self.person_numbers:
            return "discovered"
        if self.person_numbers[label] == person:
            return "merged"
        return before if before == "split" else "corrected"
