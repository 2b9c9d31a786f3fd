"""Holds what a build decided against what was planted: precision and recall of each kind of decision."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.demo.plant import Photo
from pipeline.storage import Storage


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


@dataclass(frozen=True)
class PairScore:
    """What became of the planted defects in the end: in the pairs that a network would learn from."""

    pairs: int
    of_two_people: int
    of_copies: int


def score(storage: Storage, truth: list[Photo]) -> list[Score]:
    """The scores of a build over photos of which everything is known."""
    by_path = {photo.path: photo for photo in truth}
    return [
        *_copies(storage, by_path),
        _wrong_labels(storage, by_path),
        _merged_names(storage, by_path),
        _faults(storage, by_path),
    ]


def score_pairs(storage: Storage, truth: list[Photo]) -> PairScore:
    """Counts the accepted pairs that show two people, or one photo twice."""
    by_path = {photo.path: photo for photo in truth}
    photo_of = {row["id"]: by_path[row["key"]] for row in storage.scan("faces", ("id", "key")).to_pylist()}
    pairs = [
        (photo_of[row["target"]], photo_of[row["reference"]])
        for row in storage.scan("pairs", ("target", "reference", "reject")).to_pylist()
        if row["reject"] is None
    ]
    return PairScore(
        pairs=len(pairs),
        of_two_people=sum(a.person != b.person for a, b in pairs),
        of_copies=sum((a.copy_of or a.path) == (b.copy_of or b.path) for a, b in pairs),
    )


def _copies(storage: Storage, truth: dict[str, Photo]) -> Iterable[Score]:
    dropped = {
        row["key"]: row["kept_key"]
        for row in storage.scan("duplicates", ("key", "kept_key", "reject")).to_pylist()
        if row["reject"]
    }
    found = {photo.path: _one_shot(photo, dropped, truth) for photo in truth.values() if photo.copy_of}
    wrong = sum((truth[a].copy_of or a) != (truth[b].copy_of or b) for a, b in dropped.items())
    kinds = sorted({photo.copy_kind for photo in truth.values() if photo.copy_kind})
    for kind in kinds:
        of_kind = [path for path in found if truth[path].copy_kind == kind]
        yield Score(f"copies: {kind}", len(of_kind), sum(found[path] for path in of_kind), 0)
    yield Score("copies: all", len(found), sum(found.values()), wrong)
    left = {path for path, was in found.items() if not was}
    refused = _refused_as_reference(storage)
    caught = sum(frozenset((path, truth[path].copy_of or "")) in refused for path in left)
    false = sum(len({truth[path].copy_of or path for path in pair}) > 1 for pair in refused)
    yield Score("copies left, refused as reference", len(left), caught, false)


def _refused_as_reference(storage: Storage) -> set[frozenset[str]]:
    """Pairs of photos of which one was refused as the other's copy."""
    key = {row["id"]: row["key"] for row in storage.scan("faces", ("id", "key")).to_pylist()}
    pairs = storage.scan("pairs", ("target", "reference", "reject")).to_pylist()
    return {
        frozenset((key[row["target"]], key[row["reference"]])) for row in pairs if row["reject"] == "copy"
    }


def _one_shot(copy: Photo, dropped: dict[str, str], truth: dict[str, Photo]) -> bool:
    """Whether copy and original no longer both go on: whichever of them was kept."""
    original = copy.copy_of or ""
    return dropped.get(copy.path) == original or dropped.get(original) == copy.path


def _wrong_labels(storage: Storage, truth: dict[str, Photo]) -> Score:
    decision = {
        photo.path: row["decision"] in ("dropped", "corrected") for row, photo in _faces(storage, truth)
    }
    planted = {path for path in decision if _mislabelled(truth[path])}
    refused = {path for path, no in decision.items() if no}
    return Score("wrong labels", len(planted), len(planted & refused), len(refused - planted))


def _mislabelled(photo: Photo) -> bool:
    return photo.person is not None and photo.label != photo.person and not _second_name(photo)


def _second_name(photo: Photo) -> bool:
    return photo.label.startswith("stage-name-")


def _merged_names(storage: Storage, truth: dict[str, Photo]) -> Score:
    """Pairs of labels that ended as one identity."""
    owner = {photo.label: photo.person for photo in truth.values() if _second_name(photo)}
    identity = {
        row["label"]: row["identity"] for row, _ in _faces(storage, truth) if row["decision"] == "kept"
    }
    identity |= {
        row["label"]: row["identity"] for row, _ in _faces(storage, truth) if row["decision"] == "merged"
    }
    merged = {(label, name) for label, name in identity.items() if label != name}
    right = {(a, b) for a, b in merged if owner.get(a, a) == owner.get(b, b)}
    return Score("one person under two names", len(owner), len(right), len(merged - right))


def _faults(storage: Storage, truth: dict[str, Photo]) -> Score:
    """Broken, hostile and faceless files, each of which must end with its own reason."""
    reject = {row["key"]: row["reject"] for row in storage.scan("images", ("key", "reject")).to_pylist()}
    for row in storage.scan("faces", ("key", "reject")).to_pylist():
        reject[row["key"]] = row["reject"]
    faults = [photo for photo in truth.values() if photo.fault]
    found = sum(reject.get(photo.path) == photo.fault for photo in faults)
    wrong = sum(bool(reason) and not truth[path].fault for path, reason in reject.items())
    return Score("broken or faceless files", len(faults), found, wrong)


def _faces(storage: Storage, truth: dict[str, Photo]) -> Iterable[tuple[dict[str, str], Photo]]:
    key = {row["id"]: row["key"] for row in storage.scan("faces", ("id", "key")).to_pylist()}
    for row in storage.scan("identities", ("face", "label", "identity", "decision")).to_pylist():
        yield row, truth[key[row["face"]]]
