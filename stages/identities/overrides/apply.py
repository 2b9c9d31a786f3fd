"""What becomes of faces by what a person said of them in `overrides.csv`."""

import hashlib
from dataclasses import replace

import numpy as np

from facerefs.schemas.reject import Reject
from facerefs.stages.identities.centroids import Cores
from facerefs.stages.identities.overrides.lines import FaceWord, Words, numbers
from facerefs.stages.identities.people import NOBODY, Faces, Outcome

_MAX_PASSES = 10


def apply(outcome: Outcome, words: Words, faces: Faces, cores: Cores) -> Outcome:
    """The outcome as a person corrected it. Rows that a line decided carry its number in `line`."""
    if not words.of_faces:
        return outcome
    desk = _Desk(outcome, faces, cores)
    for _ in range(_MAX_PASSES):  # a line about two faces may precede the one that says where the second goes
        before = desk.person.copy()
        desk.heed_all(words)
        if (before == desk.person).all():
            break
    return desk.outcome()


class _Desk:
    """The decisions while lines are heeded one after another."""

    def __init__(self, outcome: Outcome, faces: Faces, cores: Cores) -> None:
        self._before, self._faces, self._cores = outcome, faces, cores
        self._label = {name: number for number, name in enumerate(faces.names)}
        self._one: dict[int, set[int]] = {}  # the faces that are said to be one person with each, so far
        self.names = list(outcome.names)
        self._own = {name: number for number, name in enumerate(outcome.names)}
        self.number = numbers(outcome.names, outcome.lead)
        self.person, self.line = outcome.person.copy(), outcome.line.copy()
        self.dropped = np.zeros(len(self.person), bool)

    def heed_all(self, words: Words) -> None:
        """Do what the lines say, one after another."""
        self._one.clear()
        for word in words.of_faces:
            self._heed(word)

    def _heed(self, word: FaceWord) -> None:
        match word.decision:
            case "drop":
                self._drop(word)
            case "keep":
                self._keep(word)
            case "same":
                self._same(word)
            case "different":
                self._different(word)

    def _set(self, row: int, person: int, line: int, *, dropped: bool = False) -> None:
        self.person[row], self.line[row], self.dropped[row] = person, line, dropped

    def _alone(self, row: int) -> None:
        """A later line about a face itself: it goes no longer where others go."""
        self._one.pop(row, {row}).discard(row)

    def _drop(self, word: FaceWord) -> None:
        rows = list(word.rows)
        if not rows and word.name is not None:
            label, person = self._label.get(word.name), self._own.get(word.name)
            named = np.zeros(len(self.person), bool)
            for numbered, number in ((self._faces.label, label), (self.person, person)):
                if number is not None:
                    named |= numbered == number
            rows = np.flatnonzero(named).tolist()
        for row in rows:
            self._alone(row)
            self._set(row, NOBODY, word.line, dropped=True)

    def _keep(self, word: FaceWord) -> None:
        rows = np.array(word.rows)
        homes = np.array([self._home(row) for row in word.rows])
        fitness = np.nan_to_num(self._cores.likeness_of(rows, homes), nan=-1)
        there = self.person[rows] == homes
        best = int(np.lexsort((rows, -self._faces.size_px[rows], -fitness, ~there))[0])
        self._alone(int(rows[best]))
        self._set(int(rows[best]), int(homes[best]), word.line)

    def _home(self, row: int) -> int:
        """Where a face stays that is to be kept: with its label, or else with whom it is, or by itself."""
        label = int(self._faces.label[row])
        if label != NOBODY and self._faces.names[label] in self.number:
            return self.number[self._faces.names[label]]
        if self.person[row] != NOBODY:
            return int(self.person[row])
        return self._named(self._faces.names[label] if label != NOBODY else new_name(self._faces.id[row]))

    def _named(self, name: str) -> int:
        if name not in self.number:
            self.number[name] = len(self.names)
            self.names.append(name)
        return self.number[name]

    def _same(self, word: FaceWord) -> None:
        row = word.rows[0]
        home, together = NOBODY, self._one.get(row, {row})
        if word.name is not None:
            home = self.number.get(word.name, NOBODY)
        elif word.other is not None:
            together = together | self._one.get(word.other, {word.other})
            self._one |= dict.fromkeys(together, together)
            homes = [int(self.person[face]) for face in (word.other, row) if self.person[face] != NOBODY]
            home = homes[0] if homes else self._named(new_name(self._faces.id[word.other]))
        if home != NOBODY:
            for face in together:
                self._set(face, home, word.line)

    def _different(self, word: FaceWord) -> None:
        row = word.rows[0]
        if word.name is not None:
            if word.name in self.number:
                for face in self._copies(row):
                    person = int(self.person[face])
                    self._alone(face)
                    self._set(face, NOBODY if person == self.number[word.name] else person, word.line)
        elif word.other is not None and self.person[row] == self.person[word.other] != NOBODY:
            two = np.array([row, word.other])
            fitness = np.nan_to_num(self._cores.likeness_of(two, self.person[two]), nan=-1)
            leaves = int(two[np.lexsort((-two, fitness, self.line[two] > 0))[0]])
            self._alone(leaves)
            self._set(leaves, NOBODY, word.line)

    def _copies(self, row: int) -> list[int]:
        """The faces that show the shot under the label: what is not somebody there, is not here."""
        shot, label = self._faces.shot, self._faces.label
        return np.flatnonzero((shot == shot[row]) & (label == label[row])).tolist()

    def outcome(self) -> Outcome:
        """What has become of it all."""
        before = self._before
        decision, reject, why = before.decision.copy(), before.reject.copy(), before.why.copy()
        for row in np.flatnonzero(self.line):
            person, label = int(self.person[row]), int(self._faces.label[row])
            name = None if label == NOBODY else self._faces.names[label]
            decision[row] = self._decision(name, person, str(before.decision[row]))
            reject[row] = None
            if person == NOBODY:
                lost = Reject.NO_IDENTITY if name is None else Reject.WRONG_LABEL
                reject[row] = Reject.DROPPED_BY_PERSON if self.dropped[row] else lost
        more = np.arange(len(before.names), len(self.names))
        lead = np.concatenate([before.lead[:-1], more, [NOBODY]])
        return replace(
            before,
            names=self.names,
            lead=lead,
            person=self.person,
            decision=decision,
            reject=reject,
            why=why,
            line=self.line,
        )

    def _decision(self, label: str | None, person: int, before: str) -> str:
        if person == NOBODY:
            return "dropped"
        if label == self.names[person]:
            return "kept"
        if label is None or label not in self.number:
            return "discovered"
        if self.number[label] == person:
            return "merged"
        return before if before == "split" else "corrected"


def new_name(face: str) -> str:
    """The name of a person known by this face alone."""
    return "person-" + hashlib.sha256(face.encode()).hexdigest()[:12]
