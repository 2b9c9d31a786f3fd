"""Describe settings: name, type, range, default and meaning, read from the dataclasses that hold them.

The meaning of a setting is the string below its field; that of a section is the first paragraph of its docstring.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from textwrap import dedent
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from facerefs.trainers.loop.settings import is_setting, to_dict

_WORDS = {int: "whole number", float: "number", str: "text", NoneType: "null"}


@dataclass(frozen=True)
class Setting:
    """One setting. `default` is the value as in YAML; `range` is empty if there are no bounds."""

    name: str
    type: str
    range: str
    default: Any
    meaning: str


@dataclass(frozen=True)
class Section:
    """The settings of one dataclass, such as `analyse` or `copies.rule`; the name of the outermost one is empty."""

    name: str
    about: str
    settings: tuple[Setting, ...]


def sections_of(settings: Any, name: str = "") -> list[Section]:
    """The dataclass and its nested dataclasses as sections, outermost first; their values are the defaults."""
    own: list[Setting] = []
    inner: list[Section] = []
    kind: type = type(settings)
    hints, known = get_type_hints(kind, include_extras=True), meanings(kind)
    for item in filter(is_setting, fields(settings)):
        value, full_name = getattr(settings, item.name), f"{name}.{item.name}" if name else item.name
        if isinstance(value, Mapping):  # sections with names known at run time: the sources
            inner += [section for key, one in value.items() for section in sections_of(one, key)]
        elif is_dataclass(hints[item.name]):
            inner += sections_of(value, full_name)
        else:
            hint, meaning = hints[item.name], known.get(item.name, "")
            own.append(Setting(full_name, _joined(_choices(hint)), _range(hint), to_dict(value), meaning))
    about = " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())
    return [Section(name, about, tuple(own)), *inner] if own else inner


def meanings(kind: type) -> Mapping[str, str]:
    """The strings below the fields of a class in its source code, by field name."""
    (tree,) = ast.parse(dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101
    return {
        item.target.id: " ".join(below.value.value.split())
        for item, below in pairwise(tree.body)
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


def _choices(hint: Any) -> list[str]:
    """The types or choices that a setting accepts, as text."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _choices(arguments[0])
    if origin in (Union, UnionType):
        words = [word for one in arguments if get_origin(one) is not tuple for word in _choices(one)]
        lists = [_choices(get_args(one)[0]) for one in arguments if get_origin(one) is tuple]
        return words + ["list of these" if item == words else f"list of {_joined(item)}" for item in lists]
    if origin is Literal:
        return [str(one) for one in arguments]
    if origin is tuple:
        return [f"list of {_joined(_choices(arguments[0]))}"]
    return ["true", "false"] if hint is bool else [_WORDS.get(hint, hint.__name__.lower())]


def _joined(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _range(hint: Any) -> str:
    """The bounds of a number, or of the numbers in a list."""
    bounds = {type(bound): bound for bound in _bounds(hint)}
    if Ge in bounds and Le in bounds:
        return f"{bounds[Ge].ge} to {bounds[Le].le}"
    words = {Ge: "at least", Gt: "above", Le: "at most", Lt: "below"}
    return ", ".join(
        f"{word} {getattr(bounds[kind], kind.__name__.lower())}"
        for kind, word in words.items()
        if kind in bounds
    )


def _bounds(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Annotated:
        yield from hint.__metadata__
    if get_origin(hint) is not Literal:
        for one in get_args(hint):
            yield from _bounds(one)
