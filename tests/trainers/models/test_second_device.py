"""Each model trains and validates at the paper's size on a device that is not the CPU: `meta` stands in for a GPU.

Tensors on `meta` have shapes and no values, so a value that is read back to the host raises an error, and so does a
shape that does not divide. What torch lets pass there is found here: operations on tensors of two devices, and copies
from the host for which it would wait until a GPU has done all that it was given.
"""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.steps import EMBEDDER, SHAPES, faces_for, model_of, steps_with_all, without_autocast
from facerefs.stages.degrade.apply_theta import degrade_and_resize_back
from facerefs.trainers.distributed import Distributed
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.loop.ema import EMA
from facerefs.trainers.loop.loop import run_loop
from facerefs.trainers.loop.precision import evaluating
from facerefs.trainers.loop.training_module import TrainingModule
from facerefs.trainers.models.catalogue import MODULES
from facerefs.trainers.models.landmarks import find_landmarks
from facerefs.trainers.stream.batches.device_batch import DeviceBatch, to_device

META = torch.device("meta")
FACES = 4
PRESET = {"rpf": "x8"}  # the three largest blocks of `paper`, of the same code as the smaller ones

# What reads back to the host: each on the CPU by its nature, and in no phase of a step.
READS = {
    "facerefs.trainers.models.common.evaluator.niqe_scores": lambda images: torch.empty(len(images)),
    "facerefs.trainers.networks.dictionary.kmeans": lambda vectors, count: vectors.new_empty(
        count, vectors.shape[1]
    ),
}


class OneDevice(TorchDispatchMode):
    """Raises AssertionError for an operation on tensors of two devices, and for a copy that the host waits for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made = SHAPES.get(func.overloadpacket, func)(*args, **kwargs)
        tensors = [one for one in tree_leaves((args, kwargs, made)) if isinstance(one, Tensor)]
        if func.overloadpacket is torch.ops.aten._to_copy:
            assert kwargs.get("non_blocking") or len({one.device for one in tensors}) == 1, _where(func)
        elif len({one.device for one in tensors if one.ndim}) > 1:
            raise AssertionError(_where(func))
        return made


class NoConstants(TorchFunctionMode):
    """Raises AssertionError for a tensor made of numbers on the device, which is such a copy within torch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, Tensor.new_tensor) and not isinstance(args[-1], Tensor):
            assert made.device.type == "cpu", _where(func)
        return made


def _where(func: Any) -> str:
    lines = [line for line in traceback.extract_stack() if "torch" not in line.filename.split("/")]
    return f"{func} in {lines[-1].filename}, line {lines[-1].lineno}: {lines[-1].line}"


def ready_batches(model: Any, module: TrainingModule) -> Iterator[DeviceBatch]:
    faces = faces_for(model, FACES)
    warp = warp_for(model.size_px) if model.data.references else None
    while True:
        yield to_device(faces, META, degrade_and_resize_back, warp, torch.float32, (-1.0, 1.0), module.points)


@pytest.mark.parametrize("name", MODULES)
def test_training_and_validation_stay_on_their_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for read, instead in READS.items():
        monkeypatch.setattr(read, instead)
    model = model_of(name, PRESET.get(name, "paper"))
    with META:
        networks: dict[str, nn.Module] = model.networks()
    module = model.training_module(networks, META, EMBEDDER)
    averages = EMA(networks, module.averaged, 1000.0)
    steps = steps_with_all(module.phases)
    if len(steps) > 4:  # RPF learns block after block, by the same code: the last step runs all of them
        steps = [steps[0], *steps[-2:]]
    batches: Any = ready_batches(model, module)
    with without_autocast(META), OneDevice(), NoConstants():
        for step in steps:
            loop = replace(model.loop, steps=step)
            run_loop(
                module, averages, batches, FACES, step - 1, loop, Distributed(device=META), nothing, never
            )
        with evaluating(networks):
            scores = module.scores(networks, next(batches))
            pictures = module.pictures(networks, next(batches))
    assert {tuple(score.shape) for score in scores.values()} == {(FACES,)}
    assert {tuple(picture.shape) for picture in pictures.values()} == {
        (FACES, 3, model.size_px, model.size_px)
    }


def test_landmarks_of_another_models_faces_are_found_on_another_device() -> None:
    model = model_of("landmarks")
    with META:
        networks: dict[str, nn.Module] = model.networks()
    images = torch.empty(FACES, 3, 512, 512, device=META)
    with without_autocast(META), OneDevice(), NoConstants():
        assert find_landmarks(model, networks, images).shape == (FACES, 68, 2)


def nothing(*_: object) -> None:
    """What the loop calls after a step."""


def never() -> bool:
    return False


@pytest.mark.parametrize(
    "work",
    [
        lambda images: torch.conv2d(images, torch.zeros(3, 3, 3, 3)),
        lambda images: images.index_select(0, torch.tensor([0])),
        lambda images: torch.arange(2).to(images.device),
        lambda images: images.new_tensor([1.0, 2.0]),
        lambda images: images[images > 0],
        lambda images: images.sum().item(),
        lambda images: images.cpu(),
    ],
)
def test_what_a_gpu_would_refuse_or_wait_for_ends_it(work: Callable[[Tensor], object]) -> None:
    images = torch.empty(2, 3, 8, 8, device=META)
    with pytest.raises((AssertionError, RuntimeError)), OneDevice(), NoConstants():
        work(images)
