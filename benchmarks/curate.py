"""Curation at size: near-duplicates against imagededup, people of up to a million faces, their references.

`python -m benchmarks.curate [CASE ...] [--peer-python PYTHON]`. Cases: near-20k (needs a Python with imagededup),
near-1m, ignore-100k, check-100k, and, minutes each, ignore-1m, check-1m, select-1m. Faces are synthetic, with
the cosines of real ones (`curate_set`). Each case runs in a process of its own, which measures the most memory.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from benchmarks import curate_set
from benchmarks.paired import OUT
from facerefs.schemas.arrays import Int64s
from facerefs.schemas.tables import OVERRIDES, SOURCES
from facerefs.stages.cluster import Cluster
from facerefs.stages.dedupe import Dedupe
from facerefs.stages.identities.clustering_metrics import bcubed, pairwise
from facerefs.stages.search.hamming import hamming_pairs
from facerefs.stages.search.similarity import inner, neighbour_pairs
from facerefs.stages.select import Select

Result = TypeVar("Result")

_THRESHOLDS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)


@dataclass(frozen=True)
class Row:
    """As `benchmarks.paired.Comparison`. Null: the peer's figures where there is no peer; low and high, as the
    peer runs once (ours, in near-20k, three times, of which the median counts)."""

    case: str
    ours: float
    unit: str
    peer: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None


def main() -> None:
    """Print the table, and write benchmarks/out/curate.json; cases not asked for keep their last figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("cases", nargs="*", help=", ".join(_CASES))
    parser.add_argument("--peer-python", help="a Python that has imagededup")
    asked = parser.parse_args()
    rows: list[Row] = []
    for name in asked.cases or [case for case in _CASES if case != "near-20k" or asked.peer_python]:
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            rows += alone.apply(_run, (name, asked.peer_python))
    path = OUT / "curate.json"
    OUT.mkdir(exist_ok=True)
    old = json.loads(path.read_text()) if path.exists() else []
    new = [asdict(row) for row in rows]
    kept = [row for row in old if row["case"] not in {row["case"] for row in new}]
    path.write_text(json.dumps(kept + new, indent=1) + "\n")


def _run(name: str, peer_python: str | None) -> list[Row]:
    rows = _CASES[name](peer_python)
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    rows.append(Row(f"{name}, most memory, the made-up set included", peak_gb, "GB"))
    for row in rows:
        peer = (
            ""
            if row.peer is None
            else f", peer {row.peer:.4g}" + ("" if row.ratio is None else f", ratio {row.ratio:.2f}")
        )
        print(f"{row.case}: {row.ours:.4g} {row.unit}{peer}", flush=True)
    return rows


def _near_20k(peer_python: str | None) -> list[Row]:
    """Search and rule alone, hashes made before; recall of the planted copies."""
    if peer_python is None:
        raise SystemExit("near-20k needs --peer-python, a Python that has imagededup")
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        photos.mkdir()
        planted = curate_set.photos(20_000, photos)
        result = Path(folder, "peer.json")
        script = Path(__file__).with_name("curate_peer.py")
        subprocess.run([peer_python, str(script), str(photos), str(result)], check=True)  # noqa: S603 (asked for)
        peer_s, peer_pairs = curate_set.read_pairs(result)
        images = {
            "images": curate_set.hashed(photos),
            "sources": SOURCES.empty_table(),
            "overrides": OVERRIDES.empty_table(),
        }
    runs = [_timed(lambda: Dedupe().process(images)) for _ in range(3)]
    seconds, found = statistics.median(seconds for seconds, _ in runs), runs[0][1]
    group = dict(zip(found["key"].to_pylist(), found["group"].to_pylist(), strict=True))
    ours = {(a, b) for a, b in planted if str(a) in group and group[str(a)] == group.get(str(b))}
    rows = [_compared("near-20k, search", 20_000 / seconds, 20_000 / peer_s, "photos/s")]
    for number, edit in enumerate(curate_set.EDITS):
        pairs = set(planted[number :: len(curate_set.EDITS)])
        recall, peer_recall = len(pairs & ours) / len(pairs), len(pairs & peer_pairs) / len(pairs)
        rows.append(_compared(f"near-20k, recall of {edit} copies", 100 * recall, 100 * peer_recall, "%"))
    true = set(planted)
    theirs = len(peer_pairs - true)
    dropped = [
        key for key, kept in zip(found["key"].to_pylist(), found["kept"].to_pylist(), strict=True) if not kept
    ]
    copies = {str(number) for pair in planted for number in pair}
    false = sum(key not in copies for key in dropped)
    rows.append(
        _compared("near-20k, photos dropped, or pairs found, that are no copies", false, theirs, "wrong")
    )
    return rows


def _near_1m(_: str | None) -> list[Row]:
    """A tenth of the hashes are others with up to 8 bits changed."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 900_000, dtype=np.uint64)
    flips = np.uint64(1) << rng.integers(0, 64, (100_000, 8), dtype=np.uint64)
    hashes = np.concatenate([hashes, hashes[:100_000] ^ np.bitwise_or.reduce(flips, axis=1)])
    seconds, (i, j, _distance) = _timed(lambda: hamming_pairs(hashes, hashes, 8))
    found = np.count_nonzero(j - i == 900_000) / 100_000
    return [
        Row("near-1m, self-join at 8 bits", seconds, "s"),
        Row("near-1m, recall of planted hashes", 100 * found, "%"),
    ]


def _ignore(people: int, *, with_peer: bool) -> list[Row]:
    made = curate_set.draw(curate_set.sizes(people, 11), 12)
    name = f"ignore, {len(made.who):,} faces"
    set_ = curate_set.tables(made, None)
    seconds, found = _timed(lambda: Cluster(labels="ignore").process(_read(Cluster.reads, set_)))
    rows = [Row(name, seconds, "s"), *_agreement(name, made.who, curate_set.numbers(found))]
    if with_peer:
        peer_s, best = _timed(lambda: _components(made))
        rows += [Row(f"{name}, connected components at their best of 7 thresholds, pairwise F", best, "F")]
        rows += [Row(f"{name}, connected components", peer_s, "s")]
    return rows


def _check(people: int) -> list[Row]:
    made = curate_set.draw(curate_set.sizes(people, 11), 12)
    label = curate_set.mislabelled(made.who, 0.2, 13)
    name = f"check, {len(made.who):,} faces, 20 % wrong labels"
    set_ = curate_set.tables(made, label)
    seconds, found = _timed(lambda: Cluster(labels="check").process(_read(Cluster.reads, set_)))
    decision = np.array(found.sort_by("face")["decision"].to_pylist())
    wrong, flagged = label != made.who, np.isin(decision, ["dropped", "corrected", "split"])
    right = np.count_nonzero(wrong & flagged)
    return [
        Row(name, seconds, "s"),
        *_agreement(name, made.who, curate_set.numbers(found)),
        Row(f"{name}, wrong labels found", 100 * right / np.count_nonzero(wrong), "%"),
        Row(f"{name}, precision", 100 * right / np.count_nonzero(flagged), "%"),
    ]


def _select_1m(_: str | None) -> list[Row]:
    made = curate_set.draw(np.full(100_000, 10), 12)
    set_ = _read(Select.reads, curate_set.tables(made, None))
    seconds, found = _timed(lambda: Select(references=4).process(set_))
    return [Row(f"select, {len(made.who):,} faces of 100,000 people, {len(found):,} pairs", seconds, "s")]


def _components(made: curate_set.People) -> float:
    """Exact or inverted-list neighbours as ours, then components; the pairwise F at the best threshold."""
    count = len(made.who)
    a, b = neighbour_pairs(made.vectors, 64, _THRESHOLDS[0])
    cosines = inner(made.vectors, made.vectors, a, b)
    best = 0.0
    for threshold in _THRESHOLDS:
        strong = cosines >= threshold
        graph = coo_matrix((np.ones(np.count_nonzero(strong)), (a[strong], b[strong])), (count, count))
        best = max(best, pairwise(made.who, connected_components(graph, directed=False)[1]).f)
    return best


def _agreement(name: str, who: Int64s, found: Int64s) -> list[Row]:
    pairs, faces = pairwise(who, found), bcubed(who, found)
    return [
        Row(f"{name}, pairwise precision", pairs.precision, "P"),
        Row(f"{name}, pairwise recall", pairs.recall, "R"),
        Row(f"{name}, pairwise F", pairs.f, "F"),
        Row(f"{name}, BCubed precision", faces.precision, "P"),
        Row(f"{name}, BCubed recall", faces.recall, "R"),
        Row(f"{name}, BCubed F", faces.f, "F"),
    ]


def _compared(case: str, ours: float, peer: float, unit: str) -> Row:
    ratio = ours / peer if peer else None
    return Row(case, ours, unit, peer, ratio)


def _read(reads: Mapping[str, tuple[str, ...]], set_: dict[str, pa.Table]) -> dict[str, pa.Table]:
    return {table: set_[table].select(list(columns)) for table, columns in reads.items()}


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


_CASES: dict[str, Callable[[str | None], list[Row]]] = {
    "near-20k": _near_20k,
    "near-1m": _near_1m,
    "ignore-100k": lambda _: _ignore(11_000, with_peer=True),
    "check-100k": lambda _: _check(11_000),
    "ignore-1m": lambda _: _ignore(112_000, with_peer=False),
    "check-1m": lambda _: _check(112_000),
    "select-1m": _select_1m,
}


if __name__ == "__main__":
    main()
