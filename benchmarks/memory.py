"""GPU memory of training at full size, counted without a GPU: what fits into 24, 40 and 80 GB.

    python -m benchmarks.memory                       # preset paper of all models
    python -m benchmarks.memory --models refine rdfr --set shape.size_px=256

Steps that run all phases are computed with tensors on `meta`, which have shapes and no values. Each storage counts from
its creation until it is freed: weights, gradients, moments, averages, frozen networks, batches, saved activations, and
what a forward or backward pass holds in between. The most of all moments is the peak. What operations allocate within
themselves is not seen: on a CPU, torch's own record of allocations has the same peak for convolutions, and 15 % more
for R1 (tests/benchmarks/test_memory.py). So a card needs a fifth more, and 1 GiB (assumed: CUDA's context and
workspaces). dlib's network takes the place of ArcFace's; float32 or TF32, which needs as much.
"""

import argparse
import gc
import json
import weakref
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.paired import OUT
from benchmarks.steps import EMBEDDER, SHAPES, faces_for, model_of, steps_with_all, without_autocast
from facerefs.pipeline.errors import UserError
from facerefs.stages.degrade.apply_theta import degrade_and_resize_back
from facerefs.trainers.distributed import Distributed
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.loop.ema import EMA
from facerefs.trainers.loop.loop import run_loop
from facerefs.trainers.loop.training_module import TrainingModule
from facerefs.trainers.models.catalogue import MODULES
from facerefs.trainers.models.model import Model
from facerefs.trainers.stream.batches.device_batch import DeviceBatch, to_device

CARDS_GB = (24, 40, 80)
_GIB = 2**30
_RESERVED, _SPARE = _GIB, 0.2  # of a card: CUDA; what is not seen, and fragmentation, as a share of the peak
_READY = 3  # batches on the device: the one in use, and two made ahead
_LARGEST_BATCH = 64


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all storages on one device that are made within this context, as long as they live.

    now, peak: the present number, and the largest since `restart`.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._device = device
        self._known: dict[int, int] = {}

    def restart(self) -> None:
        """Forget the peak."""
        gc.collect()
        self.peak = self.now

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shape_only = SHAPES.get(func.overloadpacket, func) if self._device.type == "meta" else func
        made = shape_only(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            if isinstance(one, Tensor) and one.device == self._device:
                self._count(one.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.now -= self._known.pop(key)


@dataclass(frozen=True)
class Footprint:
    """Bytes of one training. state: weights, averages, moments and frozen networks; peak: the most, with state."""

    batch: int
    state: int
    peak: int

    @property
    def needed(self) -> float:
        """Bytes of a card that it needs."""
        return self.peak * (1 + _SPARE) + _RESERVED


def footprints(model: Model, batches: Sequence[int], device: torch.device) -> Iterator[Footprint]:
    """The footprint of one training of the model with each of these numbers of faces in a batch."""
    live, ranks = LiveBytes(device), Distributed(device=device)
    with without_autocast(device), live:
        networks: dict[str, nn.Module] = {
            name: network.to(device).train() for name, network in _drawn(model, device).items()
        }
        # A k-means reads values, and runs on the CPU.
        module = replace(model.training_module(networks, device, EMBEDDER), between_steps=None)
        averages = EMA(networks, module.averaged, 1000.0)
        steps = steps_with_all(module.phases)
        _train(model, module, averages, steps, 1, ranks)  # makes the moments
        live.restart()
        state = live.now
        for batch in batches:
            live.restart()
            _train(model, module, averages, steps, batch, ranks)
            yield Footprint(batch, state, live.peak)


def _drawn(model: Model, device: torch.device) -> dict[str, nn.Module]:
    with device if device.type == "meta" else nullcontext():
        return model.networks()


def _train(
    model: Model,
    module: TrainingModule,
    averages: EMA,
    steps: Sequence[int],
    batch: int,
    ranks: Distributed,
) -> None:
    ready = _ready(model, module, batch, ranks.device)
    for step in steps:
        loop = replace(model.loop, steps=step)
        run_loop(module, averages, ready, batch, step - 1, loop, ranks, _nothing, lambda: False)


def _ready(model: Model, module: TrainingModule, count: int, device: torch.device) -> Any:
    """Batches, of which the next ones are made ahead."""
    faces = faces_for(model, count)
    warp = warp_for(model.size_px) if model.data.references else None

    def make() -> DeviceBatch:
        return to_device(
            faces, device, degrade_and_resize_back, warp, torch.float32, (-1.0, 1.0), module.points
        )

    ahead = [make() for _ in range(_READY - 1)]
    while True:
        ahead.append(make())
        yield ahead.pop(0)


def _nothing(*_: object) -> None:
    """What the loop calls after a step."""


def main() -> None:
    """Print a table, and write benchmarks/out/memory.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--models", nargs="+", choices=MODULES, default=list(MODULES))
    parser.add_argument("--preset", default="paper")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings, as of facerefs train"
    )
    words = parser.parse_args()
    cards = " | ".join(f"{card} GB" for card in CARDS_GB)
    _say(
        f"| model | side | batch of the preset | state | peak, batch 1 | peak, preset | {cards} |\n|{'---|' * 9}"
    )
    lines = []
    for name in words.models:
        try:
            model = model_of(name, words.preset, words.set)
        except UserError as error:
            raise SystemExit(f"memory: {error}") from None
        found = _measured(model)
        lines += [
            {"model": name, "preset": words.preset, "size_px": model.size_px} | asdict(one) for one in found
        ]
        _say(_row(name, model, found))
    OUT.mkdir(exist_ok=True)
    (OUT / "memory.json").write_text(json.dumps(lines, indent=1) + "\n")


def _measured(model: Model) -> list[Footprint]:
    """Footprints with 1, 2, 4 faces and so on, until the largest card is too small."""
    found: list[Footprint] = []
    batches = [2**power for power in range(_LARGEST_BATCH.bit_length())]
    for one in footprints(model, batches, torch.device("meta")):
        found.append(one)
        if one.needed > CARDS_GB[-1] * _GIB and one.batch >= model.data.batch_size:
            break
    return found


def _row(name: str, model: Model, found: Sequence[Footprint]) -> str:
    preset = model.data.batch_size
    of_preset = next(one for one in found if one.batch >= preset)
    largest = [max((one.batch for one in found if one.needed <= card * _GIB), default=0) for card in CARDS_GB]
    cells = [
        f"`{name}`",
        f"{model.size_px} px",
        preset,
        *(f"{number / _GIB:.1f} GiB" for number in (found[0].state, found[0].peak, of_preset.peak)),
        *(batch or "none" for batch in largest),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
