"""Read the settings of any dataclass from YAML and from `--set a.b=c`, check each key, and validate with pydantic.

Every mistake is reported in one sentence.
"""

import difflib
import reprlib
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from facerefs.pipeline.config.renamed_settings import RENAMED, with_new_names
from facerefs.pipeline.errors import UserError
from facerefs.trainers.loop.settings import is_setting, to_dict

MAX_YAML_BYTES = 1 << 20
_LONGEST_SHOWN = 120
_TYPES = ("str", "int", "float", "bool")  # as pydantic names them
_REPR = reprlib.Repr()  # bounded, since a kilobyte of YAML with aliases may expand to terabytes
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother, _REPR.maxlong = 4, 2 * _LONGEST_SHOWN, 60, 60

T = TypeVar("T")
Tree = dict[str, Any]


def read_settings(
    kind: type[T],
    example: str,
    path: Path | None = None,
    settings: Iterable[str] = (),
    over: Tree | None = None,
    under: Tree | None = None,
    record: tuple[str, str] | None = None,
) -> T:
    """A dataclass from `under`, a YAML file, `over` and `key.sub=value` settings; later ones override earlier ones.

    example: an existing setting, such as `loop.steps=1000`, for error messages. record: how `recorded` finds the
    settings in a file that a build or a run wrote into its own folder.
    Raises UserError for a file that cannot be read, bad YAML, unknown keys and values out of range.
    """
    tree: Tree = deepcopy(under or {})
    if path is not None:
        written = read_yaml(path, example)
        if record is not None and (kept := recorded(written, *record)) is not None:
            written = kept
        _check_keys(written, kind, (), str(path))
        _merge(tree, written)
    _merge(tree, over or {})
    for setting in settings:
        _merge(tree, _parse_setting(setting, kind, example))
    try:
        return TypeAdapter(kind).validate_python(tree)
    except ValidationError as error:
        raise UserError(_sentence(error)) from None


def recorded(tree: Tree, name: str, beside: str) -> Tree | None:
    """The settings in a file in which a build or a run keeps them under `name`, with the key `beside` next to it.

    None for a file that holds only settings. Settings have their present names.
    """
    if beside not in tree or not isinstance(tree.get(name), dict):
        return None
    kept: Tree = with_new_names(tree[name])
    return kept


def completed(kind: type, tree: Any) -> Any:
    """Settings written by an earlier version, completed with the defaults of settings that it did not have.

    A tree that is not valid for `kind` is returned unchanged.
    """
    try:
        known = to_dict(TypeAdapter(kind).validate_python(tree))
    except ValidationError:
        return tree
    return _completed(tree, known)


def _completed(written: Any, known: Any) -> Any:
    if isinstance(written, dict) and isinstance(known, dict):
        return known | {key: _completed(value, known.get(key)) for key, value in written.items()}
    if isinstance(written, list) and isinstance(known, list) and len(written) == len(known):
        return [_completed(one, other) for one, other in zip(written, known, strict=True)]
    return written


def differences(old: Tree, new: Tree) -> list[str]:
    """The settings that differ, as `analyse.crop_size: 512 -> 1024`."""
    return list(_changes(old, new, ""))


class _UniqueKeys(yaml.SafeLoader):
    """A YAML loader that refuses repeated keys: PyYAML would silently drop the first one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"the key {key!r} stands twice, the second time{node.start_mark}")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, example: str) -> Tree:
    """The nested dict in a YAML file. Raises UserError."""
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
            f"{path} must hold keys and values such as `{example.partition('.')[0]}:`, "
            f"but holds {type(tree).__name__}"
        )
    return tree


def _parse_setting(setting: str, kind: type, example: str) -> Tree:
    key, equals, text = setting.partition("=")
    if not equals:
        raise UserError(f"--set {setting!r} has no `=`: write for example --set {example}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    *path, last = key.strip().split(".")
    if value is None and not text.strip() and _hint_of(kind, (*path, last)) is str:
        value = ""  # what a shell makes of `''`; a text may be empty
    tree: dict[str, Any] = {last: value}
    for name in reversed(path):
        tree = {name: tree}
    _check_keys(tree, kind, (), f"--set {setting}")
    return tree


def _hint_of(owner: Any, path: Iterable[str]) -> Any:
    """The type of a setting; None if there is no such setting."""
    for name in path:
        owner = get_type_hints(owner).get(name) if is_dataclass(owner) else None
    return owner


def _check_keys(tree: Any, owner: type, path: tuple[str, ...], origin: str) -> None:
    if not isinstance(tree, dict):
        raise UserError(f"{origin}: `{'.'.join(path)}` holds several settings; give one of them a value")
    hints = get_type_hints(owner)
    known = [item.name for item in fields(owner) if is_setting(item)]
    for key, value in tree.items():
        name = ".".join((*path, str(key)))
        if key not in known and name in RENAMED:
            raise UserError(f"{origin}: there is no setting `{name}` any more: it is now `{RENAMED[name]}`")
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean `{'.'.join((*path, close[0]))}`?" if close else f"known: {', '.join(known)}"
            raise UserError(f"{origin}: there is no setting `{name}`; {hint}")
        _check_value(value, hints[key], (*path, str(key)), origin)


def _check_value(value: Any, hint: Any, path: tuple[str, ...], origin: str) -> None:
    """Check the keys of every value whose type is a dataclass: alone, in a list, or as one of several choices."""
    if is_dataclass(hint) and isinstance(hint, type):
        _check_keys(value, hint, path, origin)
    elif get_origin(hint) is tuple and isinstance(value, list):
        for number, item in enumerate(value):
            _check_value(item, get_args(hint)[0], (*path, str(number)), origin)
    elif isinstance(value, dict):
        for choice in get_args(hint):
            if is_dataclass(choice):
                _check_value(value, choice, path, origin)


def _merge(tree: Tree, over: Tree) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _changes(old: Any, new: Any, name: str) -> Iterator[str]:
    before, after = _as_keys(old, new), _as_keys(new, old)
    if before is not None and after is not None:
        for key in sorted(before.keys() | after.keys(), key=str):
            yield from _changes(before.get(key), after.get(key), f"{name}.{key}" if name else str(key))
    elif old != new:
        yield f"{name}: {_named(old)} -> {_named(new)}"


def _as_keys(tree: Any, other: Any) -> dict[str, Any] | None:
    """The tree as a dict if both sides can be compared key by key (settings, or lists of settings), else None.

    Settings that only the other side has give an empty dict.
    """
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
    """A value as short text; for a recipe its name, without its numbers."""
    return _short(value.get("name", value) if isinstance(value, dict) else value)


def _short(value: Any, quoted: bool = False) -> str:
    text = value if isinstance(value, str) and not quoted else _REPR.repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _sentence(error: ValidationError) -> str:
    # For a union pydantic reports one error per choice: the one deepest in the tree is most likely the intended choice.
    first = max(error.errors(), key=lambda one: (len(one["loc"]), "error" in one.get("ctx", {})))
    name = ".".join(str(part) for part in first["loc"] if _is_setting(part))
    if first["type"].startswith("missing"):
        return f"setting `{name}` is missing"
    if "error" in first.get("ctx", {}):
        return f"settings `{name}`: {first['ctx']['error']}"
    given = _short(first["input"], quoted=True)
    return f"setting `{name}` cannot be {given}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _is_setting(part: int | str) -> bool:
    """Whether a part of an error's location is a setting, and not the name that pydantic gives a type."""
    return isinstance(part, int) or (part.isidentifier() and part.islower() and part not in _TYPES)
