"""Where the time of the stage `analyse` goes: CPU milliseconds per photo of each part, on one core."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from benchmarks.paired import Comparison
from facerefs.stages import analyse
from facerefs.stages.analyse import Analyse
from facerefs.stages.faces import geometry
from facerefs.stages.quality import quality

ROUNDS = 3
WHOLE = "whole stage"


def parts(photos: Sequence[Path]) -> list[Comparison]:
    """Each part and the whole stage: `ours` is the part's time, `peer` that of the whole, `ratio` its share."""
    stage = Analyse()
    stage.setup()
    rows = _rows(photos)
    stage.process(rows)  # warm-up
    rounds = [_round(stage, rows) for _ in range(ROUNDS)]
    whole = min(spent[WHOLE] for spent in rounds) / len(photos)
    made = []
    for part in rounds[0]:
        part_ms = min(spent[part] for spent in rounds) / len(photos)
        share = part_ms / whole
        print(f"{part}: {part_ms:.1f} ms per photo, {share:.0%}")
        made.append(Comparison(f"part: {part}", part_ms, whole, "CPU-ms/photo", share, share, share))
    return made


def _round(stage: Analyse, rows: pa.Table) -> dict[str, float]:
    """Milliseconds of each part."""
    spent: dict[str, float] = defaultdict(float)
    with _timed(stage, spent):
        started = time.process_time()
        stage.process(rows)
        spent[WHOLE] = (time.process_time() - started) * 1e3
    return spent


@contextmanager
def _timed(stage: Analyse, spent: dict[str, float]) -> Iterator[None]:
    """Put a clock around each function that the stage calls."""
    models = stage._models
    watched: list[tuple[str, Any, str]] = [
        ("decode", analyse, "decode"),
        ("detect", models.detector, "detect"),
        ("landmarks", models.landmarker, "landmarks"),
        ("alignment", geometry, "warp"),
        ("embedding: chip", models.embedder, "chip"),
        ("embedding: network", models.embedder, "embed_chips"),
        ("PNG", analyse, "_png"),
        ("hashes", analyse, "perceptual_hashes"),
        ("sharpness", quality, "sharpness"),
        ("NIQE", quality, "niqe"),
        ("BRISQUE", quality, "brisque"),
    ]
    patches = [
        patch.object(owner, name, _clocked(getattr(owner, name), part, spent))
        for part, owner, name in watched
    ]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


def _clocked(function: Callable[..., Any], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    def clocked(*arguments: Any) -> Any:
        started = time.process_time()
        try:
            return function(*arguments)
        finally:
            spent[part] += (time.process_time() - started) * 1e3

    return clocked


def _rows(photos: Sequence[Path]) -> pa.Table:
    contents = [photo.read_bytes() for photo in photos]
    columns = {
        "id": [hashlib.sha256(data).hexdigest() for data in contents],
        "key": [photo.name for photo in photos],
        "photo": contents,
    }
    return pa.table(columns)
