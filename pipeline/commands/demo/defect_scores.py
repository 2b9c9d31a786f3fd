"""Score a build's decisions against the planted defects: precision and recall of each kind of decision."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from facerefs.pipeline.commands.demo.copies import KINDS
from facerefs.pipeline.commands.demo.plant import Misnamed, PhotoTruth
from facerefs.pipeline.commands.demo.set_scores import ScoredFace, scored_faces
from facerefs.pipeline.storage.folder import Storage


@dataclass(frozen=True)
class DefectScore:
    """One line of the demo's table. wrong: decisions without a planted defect."""

    defect: str
    planted: int
    found: int
    wrong: int

    @property
    def recall(self) -> float:
        """The share of planted defects that were found; NaN if none were planted."""
        return self.found / self.planted if self.planted else float("nan")

    @property
    def precision(self) -> float:
        """The share of right decisions; NaN if there were none."""
        return self.found / (self.found + self.wrong) if self.found + self.wrong else float("nan")


def score_defects(storage: Storage, truth: list[PhotoTruth]) -> list[DefectScore]:
    """The scores of a build, one for each kind of defect. truth: of every file, as `plant_defects` returns it."""
    by_path = {photo.path: photo for photo in truth}
    faces = list(scored_faces(storage, by_path))
    return [
        *_copies(storage, by_path, faces),
        *_wrong_labels(faces),
        _split_names(faces),
        _merged_names(faces),
        _faults(storage, by_path),
    ]


def _copies(storage: Storage, truth: dict[str, PhotoTruth], faces: list[ScoredFace]) -> Iterator[DefectScore]:
    """Scores of copies: found among photos, else among faces; and of copies under two names, of which one must go."""
    dropped = {
        frozenset((row["key"], row["kept_key"]))
        for row in storage.scan("duplicates", ("key", "kept_key", "reject")).to_pylist()
        if row["reject"] and row["kept_key"]
    }
    path = {face.id: face.photo.path for face in faces}  # of the faces that `analyse` accepted
    alike = {
        frozenset((path[row["face"]], path[row["other"]]))
        for row in storage.scan("copies", ("face", "other", "kind")).to_pylist()
        if row["kind"] == "copy"
    }
    planted = {frozenset((photo.path, photo.shot)): photo for photo in truth.values() if photo.copy_of}
    for kind in KINDS:
        of_kind = {pair for pair, photo in planted.items() if photo.copy_kind == kind}
        yield DefectScore(f"copies: {kind}", len(of_kind), len(of_kind & (dropped | alike)), 0)
    yield DefectScore(
        "copies found as photos", len(planted), len(planted.keys() & dropped), _wrong(dropped, truth)
    )
    seen = set(path.values())  # a photo without a face cannot be found by it
    left = {pair for pair in planted.keys() - dropped if pair <= seen}
    yield DefectScore("the others, found as faces", len(left), len(left & alike), _wrong(alike, truth))
    left -= alike
    refused = _refused_as_reference(storage, path)
    yield DefectScore("the rest, refused references", len(left), len(left & refused), 0)
    identity = {face.photo.path: face.identity for face in faces if face.identity is not None}
    twice = {pair for pair, photo in planted.items() if photo.misnamed is Misnamed.SECOND_NAME}
    settled = sum(len({identity.get(path) for path in pair} - {None}) < 2 for pair in twice)
    shots = _shots_twice(faces)
    wrong = sum(face.reject == "second_name" and face.photo.shot not in shots for face in faces)
    yield DefectScore("one photo under two names", len(twice), settled, wrong)


def _refused_as_reference(storage: Storage, path: dict[str, str]) -> set[frozenset[str]]:
    """Pairs of photos that were refused as each other's reference."""
    return {
        frozenset((path[row["target"]], path[row["reference"]]))
        for row in storage.scan("pairs", ("target", "reference", "reject")).to_pylist()
        if row["reject"] in ("copy", "session")
    }


def _shots_twice(faces: list[ScoredFace]) -> set[str]:
    """The shots that are planted under two names."""
    return {face.photo.shot for face in faces if face.photo.misnamed is Misnamed.SECOND_NAME}


def _wrong(pairs: set[frozenset[str]], truth: dict[str, PhotoTruth]) -> int:
    return sum(len({truth[path].shot for path in pair}) > 1 for pair in pairs)


def _wrong_labels(faces: list[ScoredFace]) -> Iterator[DefectScore]:
    """Scores of wrong labels: refused, and moved to the right person. Shots under two names are counted elsewhere."""
    twice = _shots_twice(faces)
    counted = [face for face in faces if face.photo.shot not in twice]
    planted = {face.id for face in counted if face.photo.misnamed is Misnamed.WRONG_LABEL}
    refused = {face.id for face in counted if face.decision in ("dropped", "corrected")}
    yield DefectScore("wrong labels", len(planted), len(planted & refused), len(refused - planted))
    owners = _owners(faces)
    moved = [face for face in counted if face.decision == "corrected"]
    right = {face.id for face in moved if owners.get(face.identity or "") == face.photo.person}
    yield DefectScore(
        "moved to the right person", len(planted), len(right & planted), len(moved) - len(right)
    )


def _split_names(faces: list[ScoredFace]) -> DefectScore:
    """The score of people under two names: their labels must end as one identity."""
    person = {
        face.photo.label: face.photo.person for face in faces if face.photo.misnamed is Misnamed.SPLIT_NAME
    }
    merged = {(face.photo.label, face.identity) for face in faces if face.decision == "merged"}
    right = {(a, b) for a, b in merged if person.get(a, a) == person.get(b or "", b)}
    return DefectScore("one person under two names", len(person), len(right), len(merged) - len(right))


def _merged_names(faces: list[ScoredFace]) -> DefectScore:
    """The score of two people under one name: they must end as two identities."""
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
    return DefectScore("two people under one name", len(planted), len(apart), len(split - planted))


def _owners(faces: list[ScoredFace]) -> dict[str, str | None]:
    """For each identity the person that most of its faces show."""
    people: dict[str, Counter[str | None]] = defaultdict(Counter)
    for face in faces:
        if face.identity is not None:
            people[face.identity][face.photo.person] += 1
    return {name: count.most_common(1)[0][0] for name, count in people.items()}


def _faults(storage: Storage, truth: dict[str, PhotoTruth]) -> DefectScore:
    """The score of broken, hostile and faceless files: each must be rejected with its expected reason."""
    reject = {row["key"]: row["reject"] for row in storage.scan("images", ("key", "reject")).to_pylist()}
    for row in storage.scan("faces", ("key", "reject")).to_pylist():
        reject[row["key"]] = row["reject"]
    faults = [photo for photo in truth.values() if photo.fault]
    found = sum(reject.get(photo.path) == photo.fault for photo in faults)
    wrong = sum(bool(reason) and not truth[path].fault for path, reason in reject.items())
    return DefectScore("broken or faceless files", len(faults), found, wrong)
