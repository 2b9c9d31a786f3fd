"""Reads a set with webdataset, mosaicml-streaming or litdata, each as its own documentation has it.

Runs in an environment that may lack all of ours: `python -m benchmarks.stream_peers LOADER CASE FOLDER SECONDS`.
The set is small, so each peer is told to go through it many times without a break: none pays for an epoch's end.
"""

import importlib
import json
import multiprocessing
import os
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

BATCH = 16
WORKERS = 2
WARM_UP = 30  # batches, more than are prefetched
_REPEATS = 1000
_BUFFER = 256  # samples that webdataset shuffles, as many as the set has
_CHUNK_BYTES = 12_000_000
_TICKS = os.sysconf("SC_CLK_TCK")

FILES = ("gt.jpg", "ref0.jpg", "lq.jpg", "json")

Files = Mapping[str, Any]


def steady(batches: Iterable[Any], seconds: float) -> None:
    """Print samples/s, and CPU-ms per sample of this process and its workers, once all run evenly."""
    iterator = iter(batches)
    for _ in range(WARM_UP):
        next(iterator)
    count, cpu_s, started = 0, _cpu_s(), time.perf_counter()
    while time.perf_counter() - started < seconds:
        batch = next(iterator)
        _check(batch)
        count += BATCH
    wall_s = time.perf_counter() - started
    print(json.dumps({"samples_s": count / wall_s, "cpu_ms": (_cpu_s() - cpu_s) / count * 1e3}))
    sys.stdout.flush()
    for process in multiprocessing.active_children():
        process.kill()
    os._exit(0)  # loaders differ in how they stop, which is not the subject


def decoded(files: Files) -> tuple[Any, Any, str]:
    """Target and reference as (H, W, 3) uint8, and the identity out of the JSON."""
    import simplejpeg

    target, reference = (simplejpeg.decode_jpeg(files[name]) for name in ("gt.jpg", "ref0.jpg"))
    return target, reference, json.loads(bytes(files["json"]))["identity"]


def encoded(files: Files) -> tuple[bytes, bytes, bytes, bytes]:
    """Target, reference, degraded face and JSON as they are stored."""
    target, reference, degraded, record = (bytes(files[name]) for name in FILES)
    return target, reference, degraded, record


CASES: dict[str, Callable[[Files], Any]] = {"decoded": decoded, "bytes": encoded}


def webdataset(folder: Path, work: Callable[[Files], Any]) -> Iterable[Any]:
    """Tars as they are."""
    import webdataset as wds

    tars = sorted(map(str, (folder / "samples").glob("*.tar")))
    dataset = wds.WebDataset(tars, resampled=True, shardshuffle=len(tars)).shuffle(_BUFFER)
    batches = dataset.map(work)
    batches = batches.batched(BATCH, collation_fn=_columns) if work is encoded else batches.batched(BATCH)
    loader: Iterable[Any] = wds.WebLoader(batches, batch_size=None, num_workers=WORKERS)
    return loader


def mosaicml(folder: Path, work: Callable[[Files], Any]) -> Iterable[Any]:
    """MDS files of the same bytes."""
    streaming: Any = importlib.import_module("streaming")
    out = folder / "mds"
    if not out.exists():
        columns = dict.fromkeys(FILES, "bytes")
        with streaming.MDSWriter(
            out=str(folder / "mds.part"), columns=columns, size_limit=_CHUNK_BYTES
        ) as writer:
            for files in _samples(folder):
                writer.write(files)
        (folder / "mds.part").rename(out)

    class Dataset(streaming.StreamingDataset):  # type: ignore[misc]  # not installed here
        def __getitem__(self, at: int) -> Any:
            return work(super().__getitem__(at))

    streaming.base.util.clean_stale_shared_memory()
    stream = streaming.Stream(local=str(out), repeat=_REPEATS)
    dataset = Dataset(streams=[stream], shuffle=True, batch_size=BATCH)
    return streaming.StreamingDataLoader(dataset, batch_size=BATCH, num_workers=WORKERS)  # type: ignore[no-any-return]  # likewise


def litdata(folder: Path, work: Callable[[Files], Any]) -> Iterable[Any]:
    """litdata's chunks of the same bytes; each is listed many times under other names."""
    ld: Any = importlib.import_module("litdata")
    out = folder / "litdata"
    if not out.exists():
        part = folder / "litdata.part"
        writer = importlib.import_module("litdata.streaming.writer").BinaryWriter(
            str(part), chunk_bytes=_CHUNK_BYTES
        )
        for at, files in enumerate(_samples(folder)):
            writer.add_item(at, files)
        writer.done()
        writer.merge()
        _repeat_chunks(part)
        part.rename(out)

    class Dataset(ld.StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, at: Any) -> Any:
            return work(super().__getitem__(at))

    dataset = Dataset(str(out), shuffle=True)
    return ld.StreamingDataLoader(dataset, batch_size=BATCH, num_workers=WORKERS)  # type: ignore[no-any-return]


LOADERS = {"webdataset": webdataset, "mosaicml-streaming": mosaicml, "litdata": litdata}


def _repeat_chunks(folder: Path) -> None:
    index = json.loads((folder / "index.json").read_text())
    chunks = index["chunks"]
    index["chunks"] = [
        chunk | {"filename": f"r{number}-{chunk['filename']}"}
        for number in range(_REPEATS)
        for chunk in chunks
    ]
    for chunk in index["chunks"]:
        os.link(folder / chunk["filename"].partition("-")[2], folder / chunk["filename"])
    (folder / "index.json").write_text(json.dumps(index))


def _samples(folder: Path) -> Iterator[Files]:
    """The files of each sample by what follows its key."""
    for path in sorted((folder / "samples").glob("*.tar")):
        with tarfile.open(path) as tar:
            key = ""
            files: dict[str, bytes] = {}
            for member in tar:
                found, _, name = member.name.partition(".")
                if found != key and files:
                    yield files
                    files = {}
                key = found
                file = tar.extractfile(member)
                files[name] = file.read() if file else b""
            yield files


def _columns(samples: list[Any]) -> list[list[Any]]:
    return [list(column) for column in zip(*samples, strict=True)]


def _check(batch: Any) -> None:
    """Targets and references of a whole batch: uint8 tensors of 512 px, or bytes of JPEGs."""
    for images in batch[:2]:
        assert len(images) == BATCH  # noqa: S101
        if hasattr(images, "shape"):
            assert images.numel() == BATCH * 512 * 512 * 3  # noqa: S101
            assert images.element_size() == 1  # noqa: S101
        else:
            assert all(bytes(image[:3]) == b"\xff\xd8\xff" for image in images)  # noqa: S101


def _cpu_s() -> float:
    pids = [os.getpid(), *(process.pid for process in multiprocessing.active_children())]
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def main() -> None:
    """Exit status 3 if the loader is not installed."""
    loader, case, folder, seconds = sys.argv[1:]
    try:
        batches = LOADERS[loader](Path(folder), CASES[case])
    except ModuleNotFoundError as error:
        print(error)
        raise SystemExit(3) from None
    steady(batches, float(seconds))


if __name__ == "__main__":
    main()
