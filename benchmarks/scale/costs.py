"""Costs of each stage for one photo, measured in builds that were made: from `log.jsonl` and the tables."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import TABLES

PART_STAGES = ("crawl", "analyse", "shard")
WHOLE_STAGES = ("dedupe", "label", "compare", "cluster", "select")
TABLE_OF = {
    "crawl": "images",
    "analyse": "faces",
    "shard": "samples",
    "dedupe": "duplicates",
    "label": "labels",
    "compare": "copies",
    "cluster": "identities",
    "select": "pairs",
}


@dataclass(frozen=True)
class BuildCosts:
    """What one build took: photos, seconds of each stage (times its workers), and bytes of each table."""

    photos: int
    seconds: dict[str, float]
    bytes: dict[str, int]


@dataclass(frozen=True)
class StageCost:
    """Seconds of a stage on one core: `per_photo_s` for each photo at `measured_photos`, growing as a power of them.

    exponent: 1 if the time is in proportion to the photos; 2 if each is compared with each. Only whole stages have
    another than 1.
    """

    name: str
    per_photo_s: float
    measured_photos: int
    exponent: float = 1.0

    def seconds(self, photos: float) -> float:
        """Core seconds for so many photos."""
        grown = float((photos / self.measured_photos) ** self.exponent)
        return self.per_photo_s * self.measured_photos * grown


def costs_of_build(place: str, workers: int) -> BuildCosts:
    """The costs of a build that was made in one run on an idle machine. Raises ValueError if its log lacks a stage."""
    storage = Storage.at(place)
    lines = map(json.loads, (storage.read_text("log.jsonl") or "").splitlines())
    seconds = {
        line["stage"]: line["seconds"] for line in lines if line["event"] == "stage_done" and line["parts"]
    }
    missing = [stage for stage in (*PART_STAGES, *WHOLE_STAGES) if stage not in seconds]
    if missing:
        raise ValueError(f"{place} was not made in one run: its log lacks {', '.join(missing)}")
    for stage in PART_STAGES:
        seconds[stage] *= workers
    photos = sum(part.rows for name in storage.parts("images") if (part := storage.part("images", name)))
    return BuildCosts(photos, seconds, {table: _bytes(storage, table) for table in TABLES})


def fitted(builds: Sequence[BuildCosts]) -> list[StageCost]:
    """The cost of each stage from builds of several sizes.

    A part stage has a fixed cost (Ray, models) and one for each photo: a straight line through the smallest and the
    largest build. A whole stage has the exponent of the line through its times on a log scale, at least 1: below the
    sizes that were measured nothing is faster than in proportion.
    """
    ordered = sorted(builds, key=lambda build: build.photos)
    first, last = ordered[0], ordered[-1]
    if first.photos == last.photos:
        raise ValueError("builds of at least two sizes are needed")
    costs = []
    for stage in PART_STAGES:
        per_photo_s = (last.seconds[stage] - first.seconds[stage]) / (last.photos - first.photos)
        costs.append(StageCost(stage, max(per_photo_s, 0.0), last.photos))
    photos = np.log([build.photos for build in ordered])
    for stage in WHOLE_STAGES:
        seconds = np.log([max(build.seconds[stage], 1e-3) for build in ordered])
        exponent = float(np.polyfit(photos, seconds, 1)[0])
        costs.append(StageCost(stage, last.seconds[stage] / last.photos, last.photos, max(exponent, 1.0)))
    return costs


def _bytes(storage: Storage, table: str) -> int:
    parts = [(name, part) for name in storage.parts(table) if (part := storage.part(table, name))]
    parquet = sum(storage.info(f"{table}/{name}.parquet").size for name, _ in parts)
    return int(parquet + sum(part.tar.size for _, part in parts if part.tar))
