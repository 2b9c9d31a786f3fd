"""The configuration of a build: the stages themselves, whose fields are their configuration, in one place.

Read from YAML and from `--set a.b=c`, checked key by key and validated by pydantic; whatever is wrong ends in
one sentence.
"""

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import yaml
from annotated_types import Ge, Le
from pydantic import TypeAdapter, ValidationError

from pipeline.errors import UserError
from stages.analyse import Analyse
from stages.cluster import Cluster
from stages.crawl import Crawl
from stages.dedupe import Dedupe
from stages.fetch import Fetch
from stages.select import Select
from stages.shard import Shard
from stages.sources.columns import Columns
from stages.sources.commons import Commons
from stages.sources.openverse import Openverse

MAX_YAML_BYTES = 1 << 20

ENGINES: dict[str, dict[str, str]] = {
    "embedded": {"detector": "dlib", "landmarks": "dlib", "embedder": "dlib"},
    "insightface": {"detector": "insightface", "landmarks": "fan", "embedder": "insightface"},
}
"""What `--engines` sets in `analyse`."""


@dataclass(frozen=True)
class Config:
    """All that decides what a build makes, besides its source."""

    rows_per_part: Annotated[int, Ge(1), Le(100_000)] = 32
    columns: Columns = field(default_factory=Columns)
    commons: Commons = field(default_factory=Commons)
    openverse: Openverse = field(default_factory=Openverse)
    fetch: Fetch = field(default_factory=Fetch)
    crawl: Crawl = field(default_factory=Crawl)
    dedupe: Dedupe = field(default_factory=Dedupe)
    analyse: Analyse = field(default_factory=Analyse)
    cluster: Cluster = field(default_factory=Cluster)
    select: Select = field(default_factory=Select)
    shard: Shard = field(default_factory=Shard)


def read_config(
    path: Path | None, settings: Iterable[str] = (), base: dict[str, Any] | None = None
) -> Config:
    """The configuration from a YAML file, then `base`, then `key.sub=value` settings, each over the one before.

    Raises UserError for a file that cannot be read, bad YAML, unknown keys and values out of range.
    """
    tree = _read_yaml(path) if path else {}
    origin = str(path) if path else "the configuration"
    _check_keys(tree, Config, (), origin)
    _merge(tree, base or {})
    for setting in settings:
        _merge(tree, _parse_setting(setting))
    try:
        return TypeAdapter(Config).validate_python(tree)
    except ValidationError as error:
        raise UserError(_sentence(error)) from None


def to_tree(config: Config) -> dict[str, Any]:
    """The configuration as plain nested values, which as YAML `read_config` reads back."""
    return {
        name: _public(value) if isinstance(value, dict) else value for name, value in asdict(config).items()
    }


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The settings that differ, as `analyse.crop_size: 512 -> 1024`."""
    before, after = _flat(old), _flat(new)
    return [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which no key stands twice: the first of two would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"the key {key!r} stands twice, the second time{node.start_mark}")
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise UserError(f"{path} is larger than {MAX_YAML_BYTES} bytes: is it a configuration?")
        tree = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 (it is a SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the configuration {path}: {error}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(
            f"{path} must hold keys and values such as `analyse:`, but holds {type(tree).__name__}"
        )
    return tree


def _parse_setting(setting: str) -> dict[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals:
        raise UserError(f"--set {setting!r} has no `=`: write for example --set analyse.crop_size=1024")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    *path, last = key.strip().split(".")
    tree: dict[str, Any] = {last: value}
    for name in reversed(path):
        tree = {name: tree}
    _check_keys(tree, Config, (), f"--set {setting}")
    return tree


def _check_keys(tree: Any, owner: type, path: tuple[str, ...], origin: str) -> None:
    if not isinstance(tree, dict):
        raise UserError(f"{origin}: `{'.'.join(path)}` holds several settings; give one of them a value")
    hints = get_type_hints(owner)
    known = [item.name for item in fields(owner) if not item.name.startswith("_") and item.init]
    for key, value in tree.items():
        name = ".".join((*path, str(key)))
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean `{'.'.join((*path, close[0]))}`?" if close else f"known: {', '.join(known)}"
            raise UserError(f"{origin}: there is no setting `{name}`; {hint}")
        if is_dataclass(hints[key]):
            _check_keys(value, hints[key], (*path, key), origin)


def _merge(tree: dict[str, Any], over: dict[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _public(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if not key.startswith("_")}


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if "error" in first.get("ctx", {}):
        return f"settings `{name}`: {first['ctx']['error']}"
    return f"setting `{name}` cannot be {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
