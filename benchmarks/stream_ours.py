"""Reads a set with our stream: `python -m benchmarks.stream_ours CASE FOLDER SECONDS`.

`decoded` and `bytes` hand out what the peers do; `faces` is what a training run gets: landmarks, boxes, embeddings,
theta and all checks besides.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import default_collate

from benchmarks.stream_peers import BATCH, CASES, FILES, WORKERS, steady
from facerefs.trainers.stream.faces import face_stream
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.samples.packed import TakeFiles, pack
from facerefs.trainers.stream.samples.prepare import FacePreparation
from facerefs.trainers.stream.stream import Source, Stream


def prepare_decoded(draw: SampleRequest, files: Mapping[str, bytes]) -> Any:
    """The peers' decoding."""
    return CASES["decoded"](files)


def stacked(samples: Sequence[Any]) -> Any:
    """Tensors by file, as torch has it."""
    return default_collate(list(samples))


def batches(case: str, folder: Path) -> Iterable[Any]:
    """Endless batches, shuffled over all samples."""
    source = Source(folder / "samples", split=None)
    if case == "faces":
        preparation = FacePreparation(flip_chance=0)
        stream = face_stream([source], BATCH, preparation, workers=WORKERS)
        return ((batch.target, batch.references) for batch in stream)
    if case == "bytes":
        packed = Stream([source], BATCH, TakeFiles(FILES), pack, workers=WORKERS)
        return ([[batch.file(i, name) for i in range(BATCH)] for name in FILES] for batch in packed)
    return Stream([source], BATCH, prepare_decoded, stacked, workers=WORKERS)


def main() -> None:
    """Print what `steady` found."""
    case, folder, seconds = sys.argv[1:]
    steady(batches(case, Path(folder)), float(seconds))


if __name__ == "__main__":
    main()
