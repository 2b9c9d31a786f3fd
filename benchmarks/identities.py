"""How well names are corrected and people found: made-up faces, a build whose truth is known, or shuffled labels.

    python -m benchmarks.identities --truth BUILD TRUTH.jsonl --shuffle BUILD --shuffle ANOTHER

A line of truth has `path` (the photo's key), `person`, `label`, and `misnamed`: null, `wrong label`, `split name`,
`merged name` or `second name`. Copies are found anew; photos that `dedupe` dropped are not there.
"""

import argparse
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.paired import OUT
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import COPIES, OVERRIDES
from facerefs.stages.cluster import Cluster
from facerefs.stages.compare import Compare
from facerefs.stages.identities.clustering_metrics import bcubed, pairwise
from facerefs.stages.join import left_join
from tests.stages.synthetic import crowd, faces_table

WRONG, SPLIT, MERGED, SECOND = "wrong label", "split name", "merged name", "second name"


Mode = Literal["check", "ignore"]


@dataclass(frozen=True)
class Truth:
    """Of each face: whom it shows, and in which way its label misleads, if at all."""

    person: Sequence[str]
    misnamed: Sequence[str | None]


@dataclass(frozen=True)
class Line:
    """One row of the table: how much of what was planted was found, and how much of what was found was planted."""

    case: str
    measure: str
    precision: float
    recall: float
    planted: int

    @property
    def f(self) -> float:
        """The harmonic mean of the two."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-12)


def main() -> None:
    """Print the tables, and write benchmarks/out/identities.json."""
    options = _options()
    lines: list[Line] = []
    for looks in (0.0, 0.3) if options.people else ():
        faces, truth = _made_up(options.people, looks)
        lines += _both(
            f"{options.people} made-up people, {looks:.0%} of several looks", faces, None, truth, None
        )
    if options.truth:
        build, path = map(Path, options.truth)
        faces, copies = _of_build(build)
        lines += _both(build.name, faces, copies, _truth(faces, path), options.same)
    for build in options.shuffle:
        faces, copies = _of_build(build)
        for keep_sizes in (True, False):
            lines += _shuffled(build.name, faces, copies, options.share, options.seeds, keep_sizes)
    for line in lines:
        print(
            f"{line.case}: {line.measure:28} precision {line.precision:.4f} recall {line.recall:.4f} "
            f"F {line.f:.4f} of {line.planted}"
        )
    OUT.mkdir(exist_ok=True)
    rows = [asdict(line) | {"f": line.f} for line in lines]
    (OUT / "identities.json").write_text(json.dumps(rows, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=10_000, help="made-up ones; 0 for none")
    parser.add_argument("--truth", nargs=2, metavar=("BUILD", "TRUTH"))
    parser.add_argument(
        "--same", type=float, help="cluster.same of the build with truth, where labels are ignored"
    )
    parser.add_argument("--shuffle", type=Path, action="append", default=[], metavar="BUILD")
    parser.add_argument("--share", type=float, default=0.2, help="of the labels that are shuffled")
    parser.add_argument("--seeds", type=int, default=40)
    return parser.parse_args()


def _made_up(people: int, looks: float) -> tuple[pa.Table, Truth]:
    """5 to 30 faces a person; 20 % of the labels wrong, 5 % of the people with two names, 5 % under another's."""
    rng = np.random.default_rng(6)
    who, vectors = crowd(rng.integers(5, 31, people), 6, looks)
    order = rng.permutation(people)
    some = max(1, people // 20)
    split = set(order[:some].tolist())
    merged = dict(zip(order[some : 2 * some].tolist(), order[2 * some : 3 * some].tolist(), strict=True))
    label, misnamed = [], []
    for face, person in enumerate(who.tolist()):
        why = None
        name = f"name {merged.get(person, person):06d}"
        if person in merged:
            why = MERGED
        if person in split and face % 2:
            name, why = name + " (alias)", SPLIT
        label.append(name)
        misnamed.append(why)
    for face in rng.choice(len(who), len(who) // 5, replace=False).tolist():
        own = merged.get(int(who[face]), int(who[face]))
        label[face] = f"name {(own + int(rng.integers(1, people))) % people:06d}"
        misnamed[face] = WRONG
    gone = {f"name {person:06d}" for person in merged}  # nobody has this name, so it is no wrong one
    other = f"name {order[-1]:06d}"
    label = [other if name in gone else name for name in label]
    return faces_table(vectors, label), Truth([f"p{person}" for person in who], misnamed)


def _of_build(build: Path) -> tuple[pa.Table, pa.Table]:
    """The faces of a build with their labels, and their copies."""
    storage = Storage(str(build))
    faces = storage.scan("faces", tuple({*Cluster.reads["faces"], *Compare.reads["faces"]}))
    labels = storage.scan("labels", Cluster.reads["labels"])
    faces = left_join(faces.filter(pc.is_null(faces["reject"])), "id", labels, "face").sort_by("id")
    copies = Compare().process({"faces": faces, "overrides": OVERRIDES.empty_table()})
    return faces, copies


def _truth(faces: pa.Table, path: Path) -> Truth:
    known = {row["path"]: row for row in map(json.loads, path.read_text().splitlines())}
    rows = [known[key] for key in faces["key"].to_pylist()]
    return Truth([str(row["person"]) for row in rows], [row["misnamed"] for row in rows])


def _both(
    case: str, faces: pa.Table, copies: pa.Table | None, truth: Truth, same: float | None
) -> Iterator[Line]:
    for mode in ("check", "ignore"):
        started = time.perf_counter()
        found = _clustered(faces, copies, mode, same if mode == "ignore" else None)
        name = f"{case}, {mode}, {len(faces)} faces, {time.perf_counter() - started:.1f} s"
        if mode == "check":
            yield from _decisions(name, found, truth)
        yield from _agreement(name, found, truth)


def _shuffle(person: Sequence[str], share: float, seed: int, keep_sizes: bool) -> list[str]:
    """The labels of a share of the faces in another order, or (not keep_sizes) any other ones of the set."""
    rng = np.random.default_rng(seed)
    label, names = list(person), sorted(set(person))
    chosen = rng.choice(len(label), round(share * len(label)), replace=False).tolist()
    given = [person[face] for face in rng.permutation(chosen)]
    if not keep_sizes:
        given = [str(rng.choice([name for name in names if name != person[face]])) for face in chosen]
    for face, name in zip(chosen, given, strict=True):
        label[face] = name
    return label


def _shuffled(
    case: str, faces: pa.Table, copies: pa.Table, share: float, seeds: int, keep_sizes: bool
) -> Iterator[Line]:
    """Which labels are found wrong after a share of them was shuffled; sums over all seeds."""
    case = f"{case}, {share:.0%} {'shuffled' if keep_sizes else 'given to others'}, {seeds} seeds"
    person = faces["label"].to_pylist()
    hits, flagged, planted = 0, 0, 0
    small = Counter(person)
    lost_small, of_small = 0, 0
    for seed in range(seeds):
        label = _shuffle(person, share, seed, keep_sizes)
        table = faces.set_column(faces.schema.get_field_index("label"), "label", pa.array(label, pa.string()))
        found = _clustered(table, copies, "check")
        wrong = {i for i, name in enumerate(label) if name != person[i]}
        against = {i for i, row in enumerate(found) if row["identity"] != row["label"]}
        hits, flagged, planted = hits + len(wrong & against), flagged + len(against), planted + len(wrong)
        right = [i for i, name in enumerate(person) if small[name] <= 2 and i not in wrong]
        lost_small, of_small = lost_small + len(against & set(right)), of_small + len(right)
    yield Line(
        case,
        "wrong labels",
        hits / max(flagged, 1),
        hits / planted,
        planted,
    )
    kept = 1 - lost_small / max(of_small, 1)
    yield Line(case, "right, of people of two photos", 1.0, kept, of_small)


def _clustered(
    faces: pa.Table, copies: pa.Table | None, mode: Mode, same: float | None = None
) -> list[dict[str, object]]:
    tables = {
        "faces": faces,
        "labels": faces.select(["id", "label"]).rename_columns(["face", "label"]),
        "copies": COPIES.empty_table() if copies is None else copies,
        "overrides": OVERRIDES.empty_table(),
    }
    rows = Cluster(labels=mode, same=same).process(
        {name: table.select(Cluster.reads[name]) for name, table in tables.items()}
    )
    by_face = {row["face"]: row for row in rows.to_pylist()}
    return [by_face[face] for face in faces["id"].to_pylist()]


def _decisions(case: str, found: Sequence[Mapping[str, object]], truth: Truth) -> Iterator[Line]:
    rows = range(len(found))
    person, misnamed = truth.person, truth.misnamed
    shows = _majority(
        ((row["identity"], person[i]) for i, row in enumerate(found) if row["identity"] is not None)
    )
    owner = _majority(
        ((row["label"], person[i]) for i, row in enumerate(found) if misnamed[i] in {None, SPLIT})
    )
    wrong = {i for i in rows if misnamed[i] in {WRONG, SECOND}}
    second_person = {i for i in rows if misnamed[i] == MERGED}

    def line(measure: str, said: set[object], planted: set[object]) -> Line:
        hits = len(said & planted)
        return Line(case, measure, hits / max(len(said), 1), hits / max(len(planted), 1), len(planted))

    def are(*decisions: str) -> set[int]:
        return {i for i in rows if found[i]["decision"] in decisions}

    second = {i for i in rows if found[i]["reject"] == "second_name"}
    against = are("dropped", "corrected") - second
    yield line("wrong labels", set(against - second_person), set(wrong - second))
    corrected = are("corrected") - second_person
    right = {i for i in corrected if shows[found[i]["identity"]] == person[i]}
    yield Line(
        case,
        "corrected to the right person",
        len(right) / max(len(corrected), 1),
        len(right & wrong) / max(len(wrong), 1),
        len(wrong),
    )
    merged = {(found[i]["label"], found[i]["identity"]) for i in are("merged")}
    names = defaultdict(set)
    for name, one in owner.items():
        names[one].add(name)
    alike = {frozenset(two) for two in names.values() if len(two) == 2}
    said = {frozenset(pair) for pair in merged}
    yield line("merged names", set(said), set(alike))
    split = {(found[i]["label"], found[i]["identity"]) for i in are("split")}
    planted = {found[i]["label"] for i in second_person}
    good = {label for label, one in split if label in planted and shows[one] != shows.get(label)}
    precision = sum(label in good for label, _ in split) / max(len(split), 1)
    yield Line(case, "split names", precision, len(good) / max(len(planted), 1), len(planted))
    kept = {
        i
        for i in second_person
        if found[i]["identity"] is not None and shows[found[i]["identity"]] == person[i]
    }
    yield Line(case, "faces of split names", 1.0, len(kept) / max(len(second_person), 1), len(second_person))
    lost = {i for i in second if misnamed[i] is None}
    yield Line(case, "second names", 1 - len(lost) / max(len(second), 1), 1.0, len(second))


def _majority(pairs: Iterator[tuple[object, str]]) -> dict[object, str]:
    counts: dict[object, Counter[str]] = defaultdict(Counter)
    for key, value in pairs:
        counts[key][value] += 1
    return {key: count.most_common(1)[0][0] for key, count in counts.items()}


def _agreement(case: str, found: Sequence[Mapping[str, object]], truth: Truth) -> Iterator[Line]:
    identity = [row["identity"] or f"nobody {i}" for i, row in enumerate(found)]
    numbers = [np.unique(np.array(names, str), return_inverse=True)[1] for names in (truth.person, identity)]
    for name, measure in (("pairwise", pairwise), ("BCubed", bcubed)):
        score = measure(*numbers)
        yield Line(case, name, score.precision, score.recall, len(found))


if __name__ == "__main__":
    main()
