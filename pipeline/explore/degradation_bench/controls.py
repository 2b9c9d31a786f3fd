"""The controls of a recipe: one for each of its numbers, and the recipe that their values make."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, get_args

from facerefs.pipeline.config.config import read_config
from facerefs.pipeline.errors import UserError
from facerefs.schemas.operations import Range, ResizeMode
from facerefs.stages.degrade.recipe import (
    IntRange,
    Pass,
    RandomBlur,
    RandomColour,
    RandomNoise,
    RandomResize,
    Recipe,
)

Kind = Literal["range", "number", "list", "modes"]
MODES: tuple[str, ...] = get_args(ResizeMode)
_CHANCE = (0.0, 1.0, 0.01)
_SLIDERS: Mapping[str, tuple[float, float, float]] = {
    "sigma_px": (0.01, 20, 0.01),
    "taps": (3, 41, 2),
    "sinc_taps": (3, 41, 2),
    "motion_px": (1, 41, 0.5),
    "generalised_beta": (0.1, 8, 0.1),
    "plateau_beta": (0.1, 8, 0.1),
    "sinc_cutoff_rad": (0.1, 3.14, 0.01),
    "sinc_cutoff_from_13_taps_rad": (0.1, 3.14, 0.01),
    "reduction": (0.25, 64, 0.25),
    "factor": (0.05, 4, 0.05),
    "base_reduction": (1, 16, 0.5),
    "sigma": (0, 80, 0.5),
    "poisson_scale": (0.01, 6, 0.01),
    "shift": (0, 100, 1),
    "brightness": (0, 3, 0.01),
    "contrast": (0, 3, 0.01),
    "saturation": (0, 3, 0.01),
    "hue": (-0.5, 0.5, 0.01),
    "jpeg_quality": (1, 100, 1),
}
"""The ends and the step of a slider, by the name of the field; a value beyond them can be typed."""
_NOTES: Mapping[str, str] = {
    "sigma_px": "px",
    "taps": "px, odd",
    "sinc_taps": "px, odd",
    "motion_px": "px",
    "reduction": "the side is divided by it",
    "reduction_choices": "one of these divides the side",
    "factor": "the side is multiplied by it; includes 1",
    "base_reduction": "divides the side before the factor",
    "sigma": "of 255",
    "poisson_scale": "of shot noise",
    "shift": "at most, of 255, per channel",
    "hue": "share of the colour circle",
    "jpeg_quality": "",
    "generalised_beta": "shape",
    "plateau_beta": "shape",
    "sinc_cutoff_rad": "rad",
    "sinc_cutoff_from_13_taps_rad": "rad",
    "modes": "equally likely",
}
_UNUSED = Pass(
    blur=RandomBlur(),
    resize=RandomResize(reduction=Range(1, 8)),
    noise=RandomNoise(),
    colour=RandomColour(shift_chance=0.3, jitter_chance=0.3),
    jpeg_quality=IntRange(60, 100),
)
"""What an operation has that a recipe leaves out, once it is switched on."""
_TITLES = {"blur": "Blur", "resize": "Resize", "noise": "Noise", "colour": "Colour", "jpeg_quality": "JPEG"}
_MOST_VALUES = 400
_INDEX = re.compile(r"\d{1,2}")


@dataclass(frozen=True)
class Control:
    """One setting of a recipe. path: where it is in the recipe; slider: ends and step; value: numbers or names."""

    path: str
    title: str
    note: str
    kind: Kind
    slider: tuple[float, float, float]
    value: tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True)
class ControlGroup:
    """The settings of one operation. is_used: whether the recipe has it."""

    title: str
    is_used: bool
    controls: tuple[Control, ...]


def control_groups(recipe: Recipe) -> list[ControlGroup]:
    """The controls of a recipe, an operation each; operations that it leaves out are there to be switched on."""
    groups = []
    for number, one in enumerate(recipe.rounds):
        nth = f"{number + 1}. " if len(recipe.rounds) > 1 else ""
        for name, title in _TITLES.items():
            operation = getattr(one, name)
            shown = getattr(_UNUSED, name) if operation is None else operation
            controls = tuple(_controls(f"rounds/{number}/{name}", name, shown))
            groups.append(ControlGroup(f"{nth}{title}", operation is not None, controls))
    if recipe.ending is not None:
        groups.append(ControlGroup("At the end", True, tuple(_controls("ending", "ending", recipe.ending))))
    return groups


def _controls(path: str, name: str, value: Any) -> Iterator[Control]:
    """The controls of a value, and of all that is in it."""
    if is_dataclass(value):
        for item in fields(value):
            yield from _controls(f"{path}/{item.name}", item.name, getattr(value, item.name))
    elif name == "modes":
        yield _control(path, name, "modes", tuple(value))
    elif name == "reduction_choices":
        if value:
            yield _control(path, name, "list", tuple(value))
    elif isinstance(value, tuple):
        yield _control(path, name, "range", tuple(value))
    elif value is not None:
        yield _control(path, name, "number", (value,))


def _control(path: str, name: str, kind: Kind, value: tuple[Any, ...]) -> Control:
    low, high, step = _SLIDERS.get(name, _CHANCE)
    if kind in ("range", "number"):
        low, high = min(low, *value), max(high, *value)
    weight = "/kinds/" in path or name in ("up", "down", "keep")
    note = "weight" if weight else "probability" if name.endswith("chance") else _NOTES.get(name, "factor")
    title = name.removesuffix("_px").removesuffix("_rad").replace("_", " ")
    return Control(path, title, note, kind, (low, high, step), value)


def recipe_of(name: str, values: Mapping[str, Any]) -> Recipe:
    """The recipe that values by the paths of controls make. Raises UserError for what is no recipe."""
    if len(values) > _MOST_VALUES:
        raise UserError(f"a recipe has at most {_MOST_VALUES} settings here")
    tree: dict[str, Any] = {}
    for path, value in values.items():
        parts = path.split("/")
        if len(path) > 100 or len(parts) > 6 or not all(parts):
            raise UserError(f"a recipe has no setting {path[:100]!r}")
        _put(tree, parts, value)
    tree = _listed(tree)
    config = read_config(None, base={"shard": {"recipe": {"name": name, **tree}}})
    (recipe,) = config.shard.recipes
    known = {control.path for group in control_groups(recipe) for control in group.controls}
    if unknown := [path for path, value in values.items() if value is not None and path not in known]:
        raise UserError(f"a recipe has no setting {unknown[0]!r}, or not beside its others")
    return recipe


def _put(tree: dict[str, Any], parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            raise UserError(f"a recipe has no setting {'/'.join(parts)!r}")
        tree = inner
    tree[parts[-1]] = value


def _listed(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with its rounds as a list; a round in which nothing is used stays, empty."""
    rounds = tree.get("rounds", {})
    if not isinstance(rounds, dict) or not all(_INDEX.fullmatch(number) for number in rounds):
        raise UserError("the rounds of a recipe are numbered from 0 on")
    return tree | {"rounds": [rounds[number] for number in sorted(rounds, key=int)]}
