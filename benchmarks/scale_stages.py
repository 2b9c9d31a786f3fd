"""Memory and seconds of the whole stages on made-up sets of faces: each in a process of its own, as a build runs it.

Faces have embeddings of 512 numbers and, by them, the cosines of `benchmarks.curate_set`; people have 5 faces or more,
median 30; every 50th face is a copy of the one before. A tenth of the photos are copies of others. Of the labels 20 %
are wrong. Rows lie in parts in an order that says nothing about their ids.

A million faces take hours on two cores. `--memory-only` searches less: 2 lists of an index (people have one, too), with
BLAS, a tenth of the hashes of faces, and photos up to 8 bits apart: arrays are as large, rows and seconds are others.

`--split` does pieces in the same process, and says what each kind of work took and how much would be sent: that is what
`benchmarks.scale --whole benchmarks/out/scale_stages.json` reckons with. `--workers 2` does them on Ray.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.console import Console

from benchmarks import curate_set
from benchmarks.paired import OUT
from facerefs.pipeline.runner.piece_pool import sent_bytes
from facerefs.pipeline.runner.runner import Runner
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.schemas.tables import FACES, IDENTITIES, IMAGES, LABELS, OVERRIDES, SOURCES, loaded
from facerefs.stages import compare
from facerefs.stages.cluster import Cluster
from facerefs.stages.compare import Compare
from facerefs.stages.dedupe import Dedupe
from facerefs.stages.executor import IN_PROCESS, Piece, Shared
from facerefs.stages.search import faiss_index, hamming
from facerefs.stages.select import Select
from facerefs.stages.stage import WholeStage

DIMENSIONS = 512
_SUBSPACE = 32  # of the people's centres, see `curate_set`
_ROWS_PER_PART = 4096
_COPY_EVERY = 50
_MB = 1e6
_STAGES: dict[str, Callable[[], WholeStage]] = {
    "dedupe": Dedupe,
    "compare": Compare,
    "cluster check": lambda: Cluster(labels="check"),
    "cluster ignore": lambda: Cluster(labels="ignore"),
    "select": lambda: Select(references=4),
}


def main() -> None:
    """Print and write benchmarks/out/scale_stages.json; cases not asked for keep their last figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="where the made-up sets lie, and stay")
    parser.add_argument("rows", type=int)
    parser.add_argument("stages", nargs="*", help=", ".join(_STAGES))
    parser.add_argument("--name", default="now", help="of this state of the code, in the file of figures")
    parser.add_argument("--memory-only", action="store_true", help="measure no seconds")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes of Ray, for pieces; 1 is without Ray"
    )
    parser.add_argument(
        "--split", action="store_true", help="pieces in this process: CPU seconds by kind, MB sent"
    )
    asked = parser.parse_args()
    folder = asked.folder / str(asked.rows)
    alone = multiprocessing.get_context("spawn")
    if not (folder / "made").exists():
        with alone.Pool(1) as process:
            process.apply(_make, (folder, asked.rows))
    path = OUT / "scale_stages.json"
    OUT.mkdir(exist_ok=True)
    for name in asked.stages or _STAGES:
        with alone.Pool(1) as process:
            figures = process.apply(_measure, (folder, name, asked.memory_only, asked.workers, asked.split))
        case = {"code": asked.name, "stage": name, "rows": asked.rows, "memory_only": asked.memory_only}
        case |= {"workers": asked.workers, "split": asked.split}
        print(case, figures, flush=True)
        old = json.loads(path.read_text()) if path.exists() else []
        kept = [row for row in old if any(row.get(key, value) != value for key, value in case.items())]
        path.write_text(json.dumps([*kept, case | figures], indent=1) + "\n")


def _measure(folder: Path, name: str, memory_only: bool, workers: int, split: bool) -> dict[str, Any]:
    if memory_only:
        _search_less()
    stage = _STAGES[name]()
    storage = Storage(str(folder))
    for part in storage.parts(stage.writes):
        if (
            stage.writes != "identities" or part == "part-00000"
        ):  # those that `select` reads are in other parts
            storage.remove_part(stage.writes, part)
    memory = _Memory(workers > 1)
    before_mb = memory.anonymous_mb()
    ray = RayWorkers(workers)
    counted = CountedPieces()
    if split:
        vars(ray)["pieces"] = lambda *_: counted
    elif workers > 1:
        ray.start()
    spread_from_rows = 0 if split or workers > 1 else None
    started, cpu = time.perf_counter(), time.process_time()
    with memory:
        Runner(storage, Console(quiet=True), ray, spread_from_rows=spread_from_rows).run_whole(stage)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    rows = len(storage.read(stage.writes, "part-00000", ("reject",)))
    storage.remove_part(stage.writes, "part-00000")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MB
    return {
        "seconds": round(seconds, 1),
        "cpu_s": round(cpu_s, 1),
        "own_mb": round(memory.most_mb),  # without pages of files, which the system can drop
        "peak_mb": round(peak_mb),  # with them
        "worker_mb": round(memory.most_of_worker_mb),  # own, of the largest worker
        "before_mb": round(before_mb),
        "rows_out": rows,
        "pieces_s": {name: round(spent, 2) for name, spent in counted.seconds.items()},
        "sent_mb": round(counted.sent_bytes / _MB),
        "returned_mb": round(counted.returned_bytes / _MB),
    }


def _search_less() -> None:
    _STAGES["dedupe"] = lambda: Dedupe(max_distance=8)
    search = hamming.hamming_blocks

    def few(queries: hamming.Hashes, base: hamming.Hashes, bits: int, **how: Any) -> Any:
        return search(queries[::10], base[::10], bits, **how)

    less: dict[str, Any] = {
        "_LISTS_SEARCHED": 2,
        "_ROUNDS": 1,
        "EXACT_UP_TO": 10_000,
        "_row_by_row": contextlib.nullcontext,
    }
    for name, value in less.items():
        setattr(faiss_index, name, value)
    vars(compare)["hamming_blocks"] = few


@dataclass
class CountedPieces:
    """Does pieces here, and counts the CPU seconds of each function, and the bytes that would be sent."""

    seconds: dict[str, float] = field(default_factory=dict)
    sent_bytes: int = 0
    returned_bytes: int = 0

    def share(self, value: Any) -> Shared[Any]:
        """The value itself."""
        self.sent_bytes += sent_bytes((value,))
        return IN_PROCESS.share(value)

    def map(self, function: Callable[..., Any], pieces: Iterable[Piece]) -> Iterator[Any]:
        """One result after the other."""
        called = getattr(function, "func", function)
        name = f"{called.__module__.rpartition('.')[2]}.{called.__name__.strip('_')}"
        for piece in pieces:
            self.sent_bytes += sent_bytes(piece)
            started = time.process_time()
            result = function(*piece)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started
            self.returned_bytes += sent_bytes((result,))
            yield result


class _Memory:
    """The most anonymous memory of this process, looked at 50 times a second."""

    def __init__(self, with_workers: bool) -> None:
        self._with_workers = with_workers
        self.most_mb = self.most_of_worker_mb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @staticmethod
    def anonymous_mb(process: str = "self") -> float:
        """RssAnon of Linux; 0 for a process that has ended."""
        try:
            status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        except OSError:
            return 0.0
        return int((status.partition("RssAnon:")[2].split() or ["0"])[0]) * 1024 / _MB

    def _watch(self) -> None:
        looks = 0
        while not self._done.wait(0.02):
            self.most_mb = max(self.most_mb, self.anonymous_mb())
            if looks % 50 == 0 and self._with_workers:
                workers = [self.anonymous_mb(process) for process in _ray_workers()]
                self.most_of_worker_mb = max([self.most_of_worker_mb, *workers])
            looks += 1


def _ray_workers() -> list[str]:
    """The processes of this machine that do the work of Ray."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(b"ray::") and _is_child(int(path.parent.name)):
                found.append(path.parent.name)
    return found


def _is_child(process: int) -> bool:
    """Whether this process has started the other one, or one of those that did."""
    while process > 1:
        if process == os.getpid():
            return True
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        process = int(stat.rpartition(")")[2].split()[1])
    return False


def _make(folder: Path, rows: int) -> None:
    storage = Storage(str(folder))
    rng = np.random.default_rng(0)
    sizes = curate_set.sizes(rows // 40, 11) * 5
    who = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))[:rows]
    label = curate_set.mislabelled(who, 0.2, 13)
    centres = _unit(rng.standard_normal((len(sizes), _SUBSPACE), np.float32))
    ids = pa.array([f"{number:016x}" for number in _scattered(len(who)).tolist()])
    faces = pa.array([f"{one}-0" for one in ids.to_pylist()])
    for number, start in enumerate(range(0, len(who), _ROWS_PER_PART)):
        part = slice(start, start + _ROWS_PER_PART)
        count = len(who[part])
        some, some_faces = ids[part], faces[part]
        name = f"part-a{number:05d}"
        photo = _photos(rng, some)
        key = {"key": some}
        copies = np.arange(count) < count // 10
        listed = key | {"label": pc.if_else(pa.array(copies), None, _names(label[part]))}
        own = {"face": some_faces, "identity": _names(who[part])}
        _write(storage, "sources", name, SOURCES, listed, count)
        _write(storage, "images", name, IMAGES, key | photo, count)
        _write(storage, "faces", name, FACES, key | _faces(rng, some, some_faces, centres[who[part]]), count)
        _write(storage, "labels", name, LABELS, {"face": some_faces, "label": _names(label[part])}, count)
        _write(storage, "identities", name, IDENTITIES, own, count)
    _write(storage, "overrides", "part-00000", OVERRIDES, {}, 0)
    (folder / "made").touch()


def _scattered(count: int) -> NDArray[np.uint64]:
    """Different numbers in no order."""
    return np.arange(count, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)


def _photos(rng: np.random.Generator, ids: pa.Array) -> dict[str, pa.Array]:
    count = len(ids)
    phash, mirror = rng.integers(0, 2**64, (2, count), dtype=np.uint64)
    detail, thumbnail = (rng.integers(0, 256, (count, wide), np.uint8) for wide in (32, 576))
    copies = count // 10
    for column in (phash, mirror, detail, thumbnail):
        column[:copies] = column[copies : 2 * copies]
    phash[:copies] ^= np.uint64(3)
    side = rng.integers(512, 2048, count)
    return {
        "id": ids,
        "width": pa.array(side, pa.int32()),
        "height": pa.array(side, pa.int32()),
        "bytes": pa.array(100 * side),
        "phash": pa.array(phash),
        "phash_mirror": pa.array(mirror),
        "detail_hash": _binary(detail),
        "thumbnail": _binary(thumbnail),
        "detail_scale": pa.array(np.ones(count, np.float32)),
    }


def _faces(
    rng: np.random.Generator, images: pa.Array, ids: pa.Array, centres: Float32s
) -> dict[str, pa.Array]:
    count = len(ids)
    clear = np.clip(rng.normal(0.67, 0.17, count), 0.15, 0.95).astype(np.float32)[:, None]
    vectors = np.sqrt(1 - clear) * _unit(rng.standard_normal((count, DIMENSIONS), np.float32))
    vectors[:, :_SUBSPACE] += np.sqrt(clear) * centres
    landmarks = rng.normal(256, 60, (count, 136)).astype(np.float32)
    hashes = rng.integers(0, 2**64, (2, count), dtype=np.uint64)
    copies = np.arange(_COPY_EVERY, count, _COPY_EVERY)
    for column in (vectors, landmarks, hashes.T):
        column[copies] = column[copies - 1]
    hashes[0, copies] ^= np.uint64(3)
    ones = np.ones(count, np.float32)
    return {
        "id": ids,
        "image": images,
        "landmarks": pa.FixedSizeListArray.from_arrays(pa.array(landmarks.ravel()), 136),
        "embedding": pa.ListArray.from_arrays(
            pa.array(np.arange(count + 1, dtype=np.int32) * DIMENSIONS), pa.array(_unit(vectors).ravel())
        ),
        "crop_size": pa.array(np.full(count, 512, np.int32)),
        "face_px": pa.array(200 * ones),
        "yaw": pa.array(rng.normal(0, 20, count).astype(np.float32)),
        "pitch": pa.array(rng.normal(0, 8, count).astype(np.float32)),
        "crop_phash": pa.array(hashes[0]),
        "crop_phash_mirror": pa.array(hashes[1]),
        "embedder": pa.repeat("arcface:synthetic", count),
    }


def _write(
    storage: Storage, table: str, name: str, schema: pa.Schema, known: dict[str, pa.Array], count: int
) -> None:
    columns = {item.name: known.get(item.name, pa.nulls(count, item.type)) for item in loaded(schema)}
    with storage.writing(table, name, name) as part:
        part.add(pa.table(columns, schema=loaded(schema)))


def _binary(rows: NDArray[np.uint8]) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(rows.shape[1]), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))]
    )


def _names(numbers: Int64s) -> pa.Array:
    return pa.array([f"person {number:07d}" for number in numbers.tolist()])


def _unit(vectors: Float32s) -> Float32s:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


if __name__ == "__main__":
    main()
