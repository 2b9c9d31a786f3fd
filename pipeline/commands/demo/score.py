"""Holds what a build decided against what was planted: precision and recall of each kind of decision."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from facerefs.pipeline.commands.demo.copies import KINDS
from facerefs.pipeline.commands.demo.outcome import Face, faces_of
from facerefs.pipeline.commands.demo.plant import Misnamed, Photo
from facerefs.pipeline.storage.folder import Storage


@dataclass(frozen=True)
class Score:
    """One line of the demo's table; `wrong` are decisions that nothing planted explains."""

    defect: str
    planted: int
    found: int
    wrong: int

    @property
    def recall(self) -> float:
        """Share of the planted ones that were found; NaN if none were planted."""
        return self.found / self.planted if self.planted else float("nan")

    @property
    def precision(self) -> float:
        """Share of right ones among the decisions; NaN if there were none."""
        return self.found / (self.found + self.wrong) if self.found + self.wrong else float("nan")


def score(storage: Storage, truth: list[Photo]) -> list[Score]:
    """The scores of a build over photos of which everything is known."""
    by_path = {photo.path: photo for photo in truth}
    faces = list(faces_of(storage, by_path))
    return [
        *_copies(storage, by_path, faces),
        *_wrong_labels(faces),
        _split_names(faces),
        _merged_names(faces),
        _faults(storage, by_path),
    ]


def _copies(storage: Storage, truth: dict[str, Photo], faces: list[Face]) -> Iterator[Score]:
    """Copies found as photos, or else as faces; then those under another name, of which one photo must go."""
    dropped = {
        frozenset((row["key"], row["kept_key"]))
        for row in storage.scan("duplicates", ("key", "kept_key", "reject")).to_pylist()
        if row["reject"] and row["kept_key"]
    }
    path = {face.id: face.photo.path for face in faces}  # of those that analyse let go on
    alike = {
        frozenset((path[row["face"]], path[row["other"]]))
        for row in storage.scan("copies", ("face", "other", "kind")).to_pylist()
        if row["kind"] == "copy"
    }
    planted = {frozenset((photo.path, photo.shot)): photo for photo in truth.values() if photo.copy_of}
    for kind in KINDS:
        of_kind = {pair for pair, photo in planted.items() if photo.copy_kind == kind}
        yield Score(f"copies: {kind}", len(of_kind), len(of_kind & (dropped | alike)), 0)
    yield Score("copies found as photos", len(planted), len(planted.keys() & dropped), _wrong(dropped, truth))
    seen = set(path.values())  # a photo without a face cannot be found by it
    left = {pair for pair in planted.keys() - dropped if pair <= seen}
    yield Score("the others, found as faces", len(left), len(left & alike), _wrong(alike, truth))
    left -= alike
    refused = _refused_as_reference(storage, path)
    yield Score("the rest, refused as reference", len(left), len(left & refused), 0)
    identity = {face.photo.path: face.identity for face in faces if face.identity is not None}
    twice = {pair for pair, photo in planted.items() if photo.misnamed is Misnamed.SECOND_NAME}
    settled = sum(len({identity.get(path) for path in pair} - {None}) < 2 for pair in twice)
    shots = _shots_twice(faces)
    wrong = sum(face.reject == "second_name" and face.photo.shot not in shots for face in faces)
    yield Score("one photo under two names", len(twice), settled, wrong)


def _refused_as_reference(storage: Storage, path: dict[str, str]) -> set[frozenset[str]]:
    """Pairs of photos that may not be each other's reference."""
    return {
        frozenset((path[row["target"]], path[row["reference"]]))
        for row in storage.scan("pairs", ("target", "reference", "reject")).to_pylist()
        if row["reject"] in ("copy", "session")
    }


def _shots_twice(faces: list[Face]) -> set[str]:
    """The shots that lie under two names."""
    return {face.photo.shot for face in faces if face.photo.misnamed is Misnamed.SECOND_NAME}


def _wrong(pairs: set[frozenset[str]], truth: dict[str, Photo]) -> int:
    return sum(len({truth[path].shot for path in pair}) > 1 for pair in pairs)


def _wrong_labels(faces: list[Face]) -> Iterator[Score]:
    """Those that were refused, and where the faces went; a shot under two names is judged by itself."""
    twice = _shots_twice(faces)
    judged = [face for face in faces if face.photo.shot not in twice]
    planted = {face.id for face in judged if face.photo.misnamed is Misnamed.WRONG_LABEL}
    refused = {face.id for face in judged if face.decision in ("dropped", "corrected")}
    yield Score("wrong labels", len(planted), len(planted & refused), len(refused - planted))
    owners = _owners(faces)
    moved = [face for face in judged if face.decision == "corrected"]
    right = {face.id for face in moved if owners.get(face.identity or "") == face.photo.person}
    yield Score("moved to whom they show", len(planted), len(right & planted), len(moved) - len(right))


def _split_names(faces: list[Face]) -> Score:
    """Pairs of labels that ended as one identity."""
    person = {
        face.photo.label: face.photo.person for face in faces if face.photo.misnamed is Misnamed.SPLIT_NAME
    }
    merged = {(face.photo.label, face.identity) for face in faces if face.decision == "merged"}
    right = {(a, b) for a, b in merged if person.get(a, a) == person.get(b or "", b)}
    return Score("one person under two names", len(person), len(right), len(merged) - len(right))


def _merged_names(faces: list[Face]) -> Score:
    """Labels of two people that ended as one identity for each."""
    planted = {face.photo.label for face in faces if face.photo.misnamed is Misnamed.MERGED_NAME}
    split = {face.photo.label for face in faces if face.decision == "split"}
    people: dict[str, dict[str | None, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for face in faces:
        if face.identity is not None and face.photo.misnamed in (None, Misnamed.MERGED_NAME):
            people[face.photo.label][face.photo.person][face.identity] += 1
    apart = {
        label
        for label in planted
        if len(found := [names.most_common(1)[0][0] for names in people[label].values()])
        == len(set(found))
        > 1
    }
    return Score("two people under one name", len(planted), len(apart), len(split - planted))


def _owners(faces: list[Face]) -> dict[str, str | None]:
    """Whom most faces of each identity show."""
    people: dict[str, Counter[str | None]] = defaultdict(Counter)
    for face in faces:
        if face.identity is not None:
            people[face.identity][face.photo.person] += 1
    return {name: count.most_common(1)[0][0] for name, count in people.items()}


def _faults(storage: Storage, truth: dict[str, Photo]) -> Score:
    """Broken, hostile and faceless files, each of which must end with its own reason."""
    reject = {row["key"]: row["reject"] for row in storage.scan("images", ("key", "reject")).to_pylist()}
    for row in storage.scan("faces", ("key", "reject")).to_pylist():
        reject[row["key"]] = row["reject"]
    faults = [photo for photo in truth.values() if photo.fault]
    found = sum(reject.get(photo.path) == photo.fault for photo in faults)
    wrong = sum(bool(reason) and not truth[path].fault for path, reason in reject.items())
    return Score("broken or faceless files", len(faults), found, wrong)
