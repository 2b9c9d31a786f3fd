"""The configuration of a build: a dataclass of all stages, whose fields are their settings."""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from annotated_types import Ge, Le

from facerefs.pipeline.config.given import Given
from facerefs.pipeline.config.read_settings import read_settings
from facerefs.stages.analyse import Analyse
from facerefs.stages.cluster import Cluster
from facerefs.stages.compare import Compare
from facerefs.stages.copies.copy_rule import CopyRule
from facerefs.stages.crawl import Crawl
from facerefs.stages.dedupe import Dedupe
from facerefs.stages.fetch import Fetch
from facerefs.stages.made_elsewhere import Elsewhere
from facerefs.stages.select import Select
from facerefs.stages.shard import Shard
from facerefs.stages.sources.registry import default_settings, sections
from facerefs.trainers.loop.settings import to_dict

ENGINES: dict[str, dict[str, str]] = {
    "embedded": {"detector": "dlib", "landmarks": "dlib", "embedder": "dlib"},
    "insightface": {"detector": "insightface", "landmarks": "fan", "embedder": "insightface"},
}
"""The settings of `analyse` that `--engines` sets."""


RECORD = ("config", "source")
"""The keys of a build's own file: that of the settings, and one beside it (`BuildPlan.tree`)."""


@dataclass(frozen=True)
class Copies:
    """When two faces count as copies of one shot; used by `compare` and `select`."""

    rule: CopyRule = field(default_factory=CopyRule)


@dataclass(frozen=True)
class Config:
    """All settings of a build; they and the source determine its output. `compare` and `select` share `copies.rule`."""

    rows_per_part: Annotated[int, Ge(1), Le(100_000)] = 32
    """Number of photos in a part; a part is the unit of work and of storage."""
    memory_mb: Annotated[int, Ge(64), Le(1 << 24)] = 4096
    """Memory in MB (MiB) for the arrays of the stages that compare all photos or faces, dedupe, compare, cluster and
    select; larger ones are in temporary files in the build's folder, and the result is the same."""
    spread_from_rows: Annotated[int, Ge(0)] | None = 20_000
    """Rows from which on these stages do their searches and comparisons on all workers, in pieces; fewer are compared
    in the command's own process, with the same result; null: all are."""
    sources: Mapping[str, Any] = field(default_factory=default_settings)  # in YAML each is its own section
    fetch: Fetch = field(default_factory=Fetch)
    crawl: Crawl = field(default_factory=Crawl)
    dedupe: Dedupe = field(default_factory=Dedupe)
    analyse: Analyse = field(default_factory=Analyse)
    copies: Copies = field(default_factory=Copies)
    compare: Compare = field(default_factory=Compare)
    cluster: Cluster = field(default_factory=Cluster)
    made_elsewhere: Elsewhere = field(default_factory=Elsewhere)
    given: Given = field(default_factory=Given)
    select: Select = field(default_factory=Select)
    shard: Shard = field(default_factory=Shard)

    def __post_init__(self) -> None:
        """Copy the shared settings into the stages that use them."""
        rule = self.copies.rule
        object.__setattr__(self, "compare", replace(self.compare, rule=rule))
        object.__setattr__(self, "select", replace(self.select, rule=rule))
        made = replace(self.made_elsewhere, crawl=self.crawl, analyse=self.analyse, rule=rule)
        object.__setattr__(self, "made_elsewhere", made)
        if self.given.pairs and self.made_elsewhere.folder is not None:
            raise ValueError(
                "given.pairs and made_elsewhere.folder cannot both be set: the pairs name all references"
            )


def read_config(
    path: Path | None,
    settings: Iterable[str] = (),
    base: dict[str, Any] | None = None,
    under: dict[str, Any] | None = None,
) -> Config:
    """The configuration: `under`, then a YAML file, then `base`, then `key.sub=value` settings; later ones override.

    The file may be the build.yaml of a build: its settings count.
    Raises UserError for a file that cannot be read, bad YAML, unknown keys and values out of range.
    """
    written: Any = read_settings(
        written_type(), "analyse.crop_size=1024", path, settings, under=under, over=base, record=RECORD
    )
    values = {item.name: getattr(written, item.name) for item in fields(Config) if item.name != "sources"}
    return Config(sources={section: getattr(written, section) for section in sections()}, **values)


def to_tree(config: Config) -> dict[str, Any]:
    """The configuration as nested dicts of plain values; written as YAML, `read_config` reads it back."""
    tree: dict[str, Any] = {}
    for name, value in to_dict(config).items():
        tree |= value if name == "sources" else {name: value}
    return tree


def written_type() -> type:
    """The type of the YAML file: a dataclass like `Config`, but with a section for each of `sources`."""
    hints = get_type_hints(Config, include_extras=True)
    items: list[tuple[str, type, Any]] = []
    for item in fields(Config):
        if item.name == "sources":
            items += [(name, kind, field(default_factory=kind)) for name, kind in sections().items()]
        else:
            items.append((item.name, hints[item.name], copy(item)))
    return make_dataclass("Config", items, frozen=True)
