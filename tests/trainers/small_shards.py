"""Small sets of shards as a build leaves them: tars, indices and a manifest."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from facerefs.pipeline.storage.tar import TarWriter
from facerefs.schemas.tables import SAMPLES
from facerefs.trainers.stream.errors import BadSample
from facerefs.trainers.stream.order.sample_request import SampleRequest

PIXELS = 48


def files_of(key: str) -> dict[str, bytes]:
    """A sample's files; a digest at the end of the pixels tells whether they are whole."""
    pixels = np.random.default_rng(list(key.encode())).bytes(PIXELS)
    return {"gt.png": pixels + hashlib.sha256(pixels).digest(), "json": json.dumps({"key": key}).encode()}


def write_shard(folder: Path, name: str, keys: Sequence[str], people: Sequence[str]) -> dict[str, object]:
    """A tar and its index; returns its line in the manifest."""
    buffer, places = io.BytesIO(), []
    writer = TarWriter(buffer)
    for key in keys:
        start = writer.size
        for ending, data in files_of(key).items():
            writer.add(f"{key}.{ending}", data)
        places.append({"path": f"samples/{name}.tar", "offset": start, "length": writer.size - start})
    sha256 = writer.close()
    split = name.partition("-")[0]
    rows = [
        {"key": key, "split": split, "identity": person, "files": place}
        for key, person, place in zip(keys, people, places, strict=True)
    ]
    rows.insert(1, {"key": "rejected", "split": split, "reject": "changed"})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.tar").write_bytes(buffer.getvalue())
    index = folder / f"{name}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, SAMPLES), index)
    return {
        "name": f"{name}.tar",
        "split": split,
        "samples": len(keys),
        "bytes": writer.size,
        "sha256": sha256,
        "index": {
            "name": index.name,
            "bytes": index.stat().st_size,
            "sha256": hashlib.sha256(index.read_bytes()).hexdigest(),
        },
    }


def write_set(folder: Path, shards: int = 3, samples: int = 7, people: int = 4, prefix: str = "") -> Path:
    """A set of split `train` with this many samples in each shard, of people of unequal numbers of samples."""
    entries = []
    for shard in range(shards):
        keys = [f"{prefix}{shard:02}{sample:04}-0" for sample in range(samples)]
        names = [
            f"person {min(int(hashlib.sha256(key.encode()).hexdigest(), 16) % 9, people - 1)}" for key in keys
        ]
        entries.append(write_shard(folder, f"train-{shard:05}", keys, names))
    write_manifest(folder, entries)
    return folder


def write_manifest(folder: Path, entries: Sequence[Mapping[str, object]]) -> None:
    """The manifest of these shards."""
    (folder / "manifest.json").write_text(
        json.dumps({"version": 2, "recipe": "x", "seed": 0, "shards": entries})
    )


def replace_index(folder: Path, shard: int, data: bytes) -> None:
    """Another index for a shard, of which the manifest knows."""
    entries = json.loads((folder / "manifest.json").read_text())["shards"]
    facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    entries[shard]["index"] |= facts
    (folder / entries[shard]["index"]["name"]).write_bytes(data)
    write_manifest(folder, entries)


def flip_a_byte(path: Path) -> None:
    """One byte in the middle of a file is another."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@dataclass(frozen=True)
class Prepared:
    """What `prepare` makes."""

    draw: SampleRequest
    key: str
    pixels: Tensor


def prepare(draw: SampleRequest, files: Mapping[str, bytes]) -> Prepared:
    """Pixels that depend on the draw too, as those of an augmented sample do."""
    if "gt.png" not in files or "json" not in files:
        raise BadSample("a file is missing")
    pixels, digest = files["gt.png"][:PIXELS], files["gt.png"][PIXELS:]
    if hashlib.sha256(pixels).digest() != digest:
        raise BadSample("the pixels are not what they were")
    image = torch.frombuffer(bytearray(pixels), dtype=torch.uint8) + draw.epoch + draw.position % 3
    return Prepared(draw, json.loads(files["json"])["key"], image)


def collate(samples: Sequence[Prepared]) -> tuple[list[str], list[int], Tensor]:
    """Keys, positions and pixels of a batch."""
    positions = [sample.draw.position for sample in samples]
    return [sample.key for sample in samples], positions, torch.stack([sample.pixels for sample in samples])
