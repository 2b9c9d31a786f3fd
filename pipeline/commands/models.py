"""`facerefs models`: the inputs and the size of each model of the catalogue."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table

from facerefs.pipeline.errors import UserError

if TYPE_CHECKING:
    from facerefs.trainers.models.model import Model

COLUMNS = ("model", "restores", "side", "degradation", "batch", "steps")


@dataclass(frozen=True)
class Line:
    """The description of a model in the output."""

    name: str
    about: str  # the first paragraph of its module docstring: who published it, or what it does
    figures: tuple[str, ...]  # one for each of COLUMNS except `model`
    sizes: str  # weights of its networks and shape of its output, or why it cannot be built


def print_models(preset: str) -> None:
    """Print a table of the models in a preset, then a description of each. Raises UserError for an unknown preset."""
    lines = lines_of(preset)
    console = Console(soft_wrap=True, markup=False)
    table = Table(*(Column(name, overflow="fold") for name in COLUMNS), box=None, pad_edge=False)
    for line in lines:
        table.add_row(line.name, *line.figures)
    console.print(table)
    for line in lines:
        console.print(f"\n{line.name}\n    {line.about}\n    {line.sizes}", highlight=False)


def lines_of(preset: str) -> list[Line]:
    """The description of each model. Raises UserError if no model has the preset."""
    from facerefs.trainers.models.catalogue import MODULES, presets

    known = {name: presets(name) for name in MODULES}
    if not any(preset in models for models in known.values()):
        choices = dict.fromkeys(name for models in known.values() for name in models)
        raise UserError(f"no model has a preset {preset!r}: choose {', '.join(choices)}")
    return [_line(name, models.get(preset)) for name, models in known.items()]


def _line(name: str, model: "Model | None") -> Line:
    from facerefs.trainers.models.catalogue import MODULES

    about = " ".join(cleandoc(import_module(MODULES[name]).__doc__ or "").partition("\n\n")[0].split())
    if model is None:
        return Line(name, about, (), "it has no such preset")
    return Line(name, about, _figures(model), _sizes(model))


def _figures(model: "Model") -> tuple[str, ...]:
    data = model.data
    degradation = data.degradation if isinstance(data.degradation, str) else data.degradation.name
    side, steps = f"{model.size_px} px", f"{model.loop.steps:,}"
    return _restores(model), side, degradation, str(data.batch_size), steps


def _restores(model: "Model") -> str:
    from facerefs.trainers.models.model import Restorer

    if not isinstance(model, Restorer):
        return "no"
    count = model.data.references
    sees = f"with {count} reference{'s' if count > 1 else ''}" if count else "blind"
    return f"{sees}, several outputs" if model.stochastic else sees


def _sizes(model: "Model") -> str:
    from facerefs.stages.engines.engine import MissingWeights
    from facerefs.trainers.models.common.sizes import sizes_of

    try:
        sizes = sizes_of(model)
    except (ValueError, RuntimeError, MissingWeights, ImportError) as error:  # RuntimeError: of fake tensors
        return f"cannot be built: {' '.join(str(error).split())[:300]}"
    output = ""
    if sizes.output is not None and sizes.operations is not None:
        shape = " x ".join(map(str, sizes.output))
        output = f"; makes {shape} of one face by {sizes.operations / 1e9:.3g} GFLOP"
    groups = _grouped(sizes.parameters)
    weights = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in groups.items() if count)
    return f"{sum(groups.values()) / 1e6:.2f} M weights: {weights}{output}"


def _grouped(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts with numbered networks added up: `warping_1` and `warping_2` as `warping_*`."""
    groups: dict[str, int] = {}
    for name, count in counts.items():
        group = re.sub(r"_\d+$", "_*", name)
        groups[group] = groups.get(group, 0) + count
    return groups
