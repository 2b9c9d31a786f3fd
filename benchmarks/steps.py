"""Steps of training without a set of shards: a model with drawn weights, drawn faces, and steps that run all phases."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.training import drawn
from facerefs.stages.degrade.draws import derive_seed
from facerefs.stages.degrade.draws import draw as draw_theta
from facerefs.stages.degrade.recipes import RECIPES
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import Rendering, render
from facerefs.stages.synthetic_people.view import draw_view
from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.loop.training_module import Phase
from facerefs.trainers.models.model import Model
from facerefs.trainers.models.rpf.rpf import Rpf
from facerefs.trainers.stream.batches.batch import FaceBatch, collate
from facerefs.trainers.stream.samples.prepare import Prepared
from facerefs.trainers.stream.samples.sample import Face, Sample

EMBEDDER = "dlib-resnet-128"  # in place of ArcFace, whose weights may not be here
_DIMENSIONS = 128

# What torch computes on `meta` operation by operation, only to know a shape.
SHAPES: Mapping[Any, Callable[..., Tensor]] = {
    torch.ops.aten.upsample_bicubic2d: lambda images, size, *_: images.new_empty(*images.shape[:2], *size),
    torch.ops.aten.grid_sampler_2d: lambda images, grid, *_: images.new_empty(
        *images.shape[:2], *grid.shape[1:3]
    ),
}
_RENDERED_PX = 64  # a face that is drawn small and enlarged costs nothing, and has landmarks of a face


def model_of(name: str, preset: str = "paper", settings: Sequence[str] = ()) -> Any:
    """A preset with drawn weights, and dlib's network where it asks for ArcFace's. Raises UserError."""
    known = to_dict(drawn(name, preset))
    own = ["weights.identity=dlib"] if known.get("weights", {}).get("identity") else []
    own += [f"shape.embedding_dim={_DIMENSIONS}"] if "embedding_dim" in known.get("shape", {}) else []
    model = drawn(name, preset, [*own, *settings])
    if isinstance(model, Rpf):  # of which the schedule was hurried
        model = replace(model, loop=replace(model.loop, steps=model.training_stages[-1].end_step))
    return model


def faces_for(model: Model, count: int, at_once: int | None = None) -> FaceBatch:
    """A batch of `count` drawn faces of the model's side, each with as many references as the model takes.

    at_once: see `collate`; None as for a GPU.
    """
    samples = [Prepared(number, _sample(model, number), number) for number in range(count)]
    return collate(samples, model.data.references, at_once)


def _sample(model: Model, number: int) -> Sample:
    recipe = model.data.degradation
    recipe = RECIPES[recipe] if isinstance(recipe, str) else recipe
    side, key = model.size_px, f"{number:016x}-0"
    target, *references = (_face(number, view, side) for view in range(1 + model.data.references))
    share = np.array(
        [[0.25, 0.35, 0.42, 0.47], [0.58, 0.35, 0.75, 0.47], [0.35, 0.65, 0.65, 0.8]], np.float32
    )
    theta = draw_theta(recipe, derive_seed(0, key, 0), side)
    return Sample(key, "", target, share * side, tuple(references), None, theta)


@cache
def _rendered(person: int, view: int) -> Rendering:
    return render(draw_person(0, person), draw_view(0, person, view), _RENDERED_PX)


def _face(person: int, view: int, side: int) -> Face:
    rendered = _rendered(person % 2, view)
    rows = np.arange(side) * _RENDERED_PX // side
    points = (rendered.landmarks + 0.5) * (side / _RENDERED_PX) - 0.5
    embedding = np.full(_DIMENSIONS, _DIMENSIONS**-0.5, np.float32)
    return Face(rendered.image[rows][:, rows], points.astype(np.float32), embedding)


def steps_with_all(phases: Sequence[Phase]) -> list[int]:
    """Few steps that together run each phase, lazy ones with the others."""
    first = {phase.interval * (phase.start_step // phase.interval + 1) for phase in phases}
    waiting, steps = list(range(len(phases))), []
    while waiting:
        step = max(sorted(first), key=lambda step: sum(phases[number].due(step) for number in waiting))
        waiting = [number for number in waiting if not phases[number].due(step)]
        steps.append(step)
    return sorted(steps)


@contextmanager
def without_autocast(device: torch.device) -> Iterator[None]:
    """A context in which `torch.autocast` does nothing for `meta`, where torch has none, if that is the device."""
    autocast = torch.autocast

    def or_none(device_type: str, *args: Any, **settings: Any) -> AbstractContextManager[object]:
        return nullcontext() if device_type == "meta" else autocast(device_type, *args, **settings)

    with patch.object(torch, "autocast", or_none) if device.type == "meta" else nullcontext():
        yield
