"""Facts about a build: its sizes, engines, configuration, tables and licences."""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc
import yaml

from facerefs.pipeline.config.config import Config, to_tree
from facerefs.pipeline.config.renamed_settings import with_new_names
from facerefs.pipeline.dataset.came_back import duplicates_after_analysis
from facerefs.pipeline.report.album import Origin
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import web_link
from facerefs.schemas.file_names import BUILD_FILE
from facerefs.schemas.tables import TABLES
from facerefs.stages.join import left_join

_LICENCES = 24
_ORIGINS = 3
_ORIGIN = ("key", "url", "page", "licence", "attribution")
_ENGINES = {
    "detector": "Face detector",
    "landmarker": "Landmarks",
    "embedder": "Identity embedding",
    "parser": "Face masks",
}


@dataclass(frozen=True)
class TableFacts:
    """One table of the build."""

    name: str
    parts: int
    rows: int
    size_bytes: int  # of the tar files of its parts


@dataclass(frozen=True)
class ReportedSetting:
    """One setting of the build, as text, with its default."""

    name: str
    value: str
    changed: bool
    default: str


@dataclass(frozen=True)
class LicenceCount:
    """A licence, the number of photos under it, and the origins of some of them."""

    name: str
    photos: int
    origins: list[Origin]


@dataclass(frozen=True)
class BuildCounts:
    """The sizes of a build: for each kind of row how many there are, and how many were accepted."""

    photos: int
    photos_kept: int
    faces: int
    faces_kept: int
    identified: int
    people: int
    pairs: int
    targets: int
    samples: int
    shards: int
    shards_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class BuildFacts:
    """All facts about a build that the report shows."""

    title: str
    source: str | None
    labels_file: str | None
    counts: BuildCounts
    tables: list[TableFacts]
    engines: list[tuple[str, list[str]]]
    settings: list[tuple[str, list[ReportedSetting]]]
    licences: list[LicenceCount]
    licences_total: int


def read_plan(storage: Storage) -> Mapping[str, Any]:
    """The content of `build.yaml`; empty if the file is missing or empty."""
    plan = yaml.safe_load(storage.read_text(BUILD_FILE) or "")
    return plan if isinstance(plan, dict) else {}


def facts(storage: Storage, plan: Mapping[str, Any]) -> BuildFacts:
    """The facts about a build. plan: the result of `read_plan`."""
    source, labels_file = plan.get("source"), plan.get("labels_file")
    tables = [_table(storage, name) for name in TABLES]
    licences, total = _licences(storage)
    return BuildFacts(
        title=posixpath.basename(str(source or "").rstrip("/")) or "unnamed build",
        source=None if source is None else str(source),
        labels_file=None if labels_file is None else str(labels_file),
        counts=_counts(storage, tables),
        tables=tables,
        engines=_engines(storage),
        settings=_settings(with_new_names(plan.get("config") or {})),
        licences=licences,
        licences_total=total,
    )


def _table(storage: Storage, name: str) -> TableFacts:
    parts = [part for part in (storage.part(name, one) for one in storage.parts(name)) if part]
    size = sum(part.tar.size for part in parts if part.tar)
    return TableFacts(name, len(parts), sum(part.rows for part in parts), size)


def _counts(storage: Storage, tables: list[TableFacts]) -> BuildCounts:
    def accepted(table: str) -> int:
        return int(storage.scan(table, ("reject",)).column("reject").null_count)

    sizes = {table.name: table for table in tables}
    known = storage.scan("identities", ("identity", "reject"))
    known = known.filter(pc.is_null(known.column("reject")))
    pairs = storage.scan("pairs", ("target", "reject"))
    pairs = pairs.filter(pc.is_null(pairs.column("reject")))
    duplicates = duplicates_after_analysis(storage, ("key", "reject"))
    copies = len(duplicates) - duplicates["reject"].null_count
    return BuildCounts(
        photos=sizes["images"].rows,
        photos_kept=accepted("images") - copies,
        faces=sizes["faces"].rows,
        faces_kept=accepted("faces"),
        identified=len(known),
        people=pc.count_distinct(known.column("identity")).as_py(),
        pairs=len(pairs),
        targets=pc.count_distinct(pairs.column("target")).as_py(),
        samples=accepted("samples"),
        shards=sizes["samples"].parts,
        shards_bytes=sizes["samples"].size_bytes,
        total_bytes=sum(table.size_bytes for table in tables),
    )


def _engines(storage: Storage) -> list[tuple[str, list[str]]]:
    faces = storage.scan("faces", tuple(_ENGINES))
    found = [
        (title, pc.unique(faces.column(column)).drop_null().to_pylist()) for column, title in _ENGINES.items()
    ]
    return [(title, sorted(names)) for title, names in found]


def _settings(config: Mapping[str, Any]) -> list[tuple[str, list[ReportedSetting]]]:
    defaults = to_tree(Config())
    general = {name: value for name, value in config.items() if not isinstance(value, dict)}
    groups, known = (
        {name: dict(_leaves(value)) for name, value in tree.items() if isinstance(value, dict)}
        for tree in (config, defaults)
    )
    groups, known = {"build": general} | groups, {"build": defaults} | known
    return [
        (str(group), [_setting(name, value, known.get(group, {})) for name, value in values.items()])
        for group, values in groups.items()
        if values
    ]


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings by their dotted names; a recipe counts as one setting."""
    for name, value in settings.items():
        if isinstance(value, dict) and "name" not in value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _setting(name: str, value: Any, defaults: Mapping[str, Any]) -> ReportedSetting:
    default = defaults.get(name)
    return ReportedSetting(
        str(name), _value_as_text(value), name not in defaults or value != default, _value_as_text(default)
    )


def _value_as_text(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return "; ".join(map(_value_as_text, value))
    if isinstance(value, dict) and "name" in value:
        return f"{value['name']}, a recipe of this build (its numbers: samples/README.md)"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _licences(storage: Storage) -> tuple[list[LicenceCount], int]:
    photos = storage.scan("images", ("key", "reject"))
    photos = photos.filter(pc.is_null(photos.column("reject"))).select(["key"])
    photos = left_join(photos, "key", storage.scan("sources", _ORIGIN), "key")
    licence = photos.column_names.index("licence")
    photos = photos.set_column(licence, "licence", pc.fill_null(photos.column("licence"), ""))
    counts = photos.group_by("licence").aggregate([("key", "count")])
    counts = counts.sort_by([("key_count", "descending"), ("licence", "ascending")])
    licences = []
    for row in counts.slice(0, _LICENCES).to_pylist():
        own = photos.filter(pc.equal(photos.column("licence"), row["licence"])).slice(0, _ORIGINS)
        origins = [_origin(photo) for photo in own.to_pylist() if photo["page"] or photo["url"]]
        licences.append(LicenceCount(row["licence"], row["key_count"], origins))
    return licences, len(counts)


def _origin(photo: Mapping[str, Any]) -> Origin:
    link = web_link(photo["page"]) or web_link(photo["url"])
    return Origin(photo["key"], link, photo["licence"], photo["attribution"])
