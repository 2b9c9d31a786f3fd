"""The configuration of a build: the stages themselves, whose fields are their configuration, in one place."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le

from facerefs.pipeline.config.read_settings import read_settings
from facerefs.stages.analyse import Analyse
from facerefs.stages.cluster import Cluster
from facerefs.stages.compare import Compare
from facerefs.stages.crawl import Crawl
from facerefs.stages.dedupe import Dedupe
from facerefs.stages.fetch import Fetch
from facerefs.stages.select import Select
from facerefs.stages.shard import Shard
from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.services.commons import CommonsSettings
from facerefs.stages.sources.services.openverse import OpenverseSettings
from facerefs.trainers.loop.plain import plain

ENGINES: dict[str, dict[str, str]] = {
    "embedded": {"detector": "dlib", "landmarks": "dlib", "embedder": "dlib"},
    "insightface": {"detector": "insightface", "landmarks": "fan", "embedder": "insightface"},
}
"""What `--engines` sets in `analyse`."""


@dataclass(frozen=True)
class Config:
    """All that decides what a build makes, besides its source."""

    rows_per_part: Annotated[int, Ge(1), Le(100_000)] = 32
    columns: ColumnNames = field(default_factory=ColumnNames)
    commons: CommonsSettings = field(default_factory=CommonsSettings)
    openverse: OpenverseSettings = field(default_factory=OpenverseSettings)
    fetch: Fetch = field(default_factory=Fetch)
    crawl: Crawl = field(default_factory=Crawl)
    dedupe: Dedupe = field(default_factory=Dedupe)
    analyse: Analyse = field(default_factory=Analyse)
    compare: Compare = field(default_factory=Compare)
    cluster: Cluster = field(default_factory=Cluster)
    select: Select = field(default_factory=Select)
    shard: Shard = field(default_factory=Shard)


def read_config(
    path: Path | None, settings: Iterable[str] = (), base: dict[str, Any] | None = None
) -> Config:
    """The configuration from a YAML file, then `base`, then `key.sub=value` settings, each over the one before.

    Raises UserError for a file that cannot be read, bad YAML, unknown keys and values out of range.
    """
    return read_settings(Config, "analyse.crop_size=1024", path, settings, over=base)


def to_tree(config: Config) -> dict[str, Any]:
    """The configuration as plain nested values, which as YAML `read_config` reads back."""
    tree: dict[str, Any] = plain(config)
    return tree
