"""The configuration of a build: the stages themselves, whose fields are their configuration, in one place.

Read from YAML and from `--set a.b=c`, checked key by key and validated by pydantic; whatever is wrong ends in
one sentence.
"""

import difflib
import reprlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

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
_LONGEST_SHOWN = 120
_REPR = reprlib.Repr()  # bounded, since a kilobyte of YAML with aliases may be a tree of terabytes
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother, _REPR.maxlong = 4, 2 * _LONGEST_SHOWN, 60, 60

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
        name: _plain(_public(value)) if isinstance(value, dict) else value
        for name, value in asdict(config).items()
    }


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The settings that differ, as `analyse.crop_size: 512 -> 1024`."""
    return list(_changes(old, new, ""))


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
        _check_value(value, hints[key], (*path, str(key)), origin)


def _check_value(value: Any, hint: Any, path: tuple[str, ...], origin: str) -> None:
    """Check the keys of all that a dataclass is meant to hold: alone, in a list, or as one choice of several."""
    if is_dataclass(hint) and isinstance(hint, type):
        _check_keys(value, hint, path, origin)
    elif get_origin(hint) is tuple and isinstance(value, list):
        for number, item in enumerate(value):
            _check_value(item, get_args(hint)[0], (*path, str(number)), origin)
    elif isinstance(value, dict):
        for choice in get_args(hint):
            if is_dataclass(choice):
                _check_value(value, choice, path, origin)


def _merge(tree: dict[str, Any], over: dict[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _public(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if not key.startswith("_")}


def _plain(tree: Any) -> Any:
    """Ranges and other tuples as lists, which are all that YAML knows."""
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, list | tuple) else tree


def _changes(old: Any, new: Any, name: str) -> Iterator[str]:
    before, after = _as_keys(old, new), _as_keys(new, old)
    if before is not None and after is not None:
        for key in sorted(before.keys() | after.keys(), key=str):
            yield from _changes(before.get(key), after.get(key), f"{name}.{key}" if name else str(key))
    elif old != new:
        yield f"{name}: {_named(old)} -> {_named(new)}"


def _as_keys(tree: Any, other: Any) -> dict[str, Any] | None:
    """What can be compared key by key: settings, also where only the other side has them, and lists of settings."""
    if isinstance(tree, dict):
        return tree
    if (
        isinstance(tree, list)
        and isinstance(other, list)
        and any(isinstance(one, dict) for one in tree + other)
    ):
        return {str(number): one for number, one in enumerate(tree)}
    return {} if tree is None and isinstance(other, dict) else None


def _named(value: Any) -> str:
    """A value; of a recipe, the name: beside another name, the numbers say nothing."""
    return _short(value.get("name", value) if isinstance(value, dict) else value)


def _short(value: Any, quoted: bool = False) -> str:
    text = value if isinstance(value, str) and not quoted else _REPR.repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _sentence(error: ValidationError) -> str:
    # A setting that may be one of several things fails once for each: what got furthest is what was meant.
    first = max(error.errors(), key=lambda one: (len(one["loc"]), "error" in one.get("ctx", {})))
    name = ".".join(str(part) for part in first["loc"] if _is_setting(part))
    if first["type"].startswith("missing"):
        return f"setting `{name}` is missing"
    if "error" in first.get("ctx", {}):
        return f"settings `{name}`: {first['ctx']['error']}"
    given = _short(first["input"], quoted=True)
    return f"setting `{name}` cannot be {given}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _is_setting(part: int | str) -> bool:
    """Whether part of an error's place is a setting, and not pydantic's name of a type."""
    return isinstance(part, int) or (part.isidentifier() and part.islower())
