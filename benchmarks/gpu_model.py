"""What a step of one model costs on this machine, in several ways of computing it: a line of JSON for each.

    python -m benchmarks.gpu_model refine SET

SET is a folder of shards with embeddings of 128 numbers. Steps are those of the training loop, with the stream, the
degradation and the moving averages; no log, validation or checkpoint. A way that fails is a line with its reason.
"""

import argparse
import gc
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.steps import EMBEDDER, model_of
from benchmarks.training import parts_of
from facerefs.trainers.distributed import Distributed
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.loop.ema import EMA
from facerefs.trainers.loop.loop import run_loop
from facerefs.trainers.loop.metric_averager import MetricAverager
from facerefs.trainers.loop.nan_guard import Diverged, NanGuard
from facerefs.trainers.loop.precision import compile_networks, round_products, use_channels_last
from facerefs.trainers.models.catalogue import MODULES
from facerefs.trainers.models.model import Model
from facerefs.trainers.models.rpf.rpf import Rpf
from facerefs.trainers.stream.batches.device import DeviceBatches, on_device
from facerefs.trainers.stream.faces import face_stream
from facerefs.trainers.stream.samples.prepare import FacePreparation
from facerefs.trainers.stream.stream import Source

WAYS: Mapping[str, Mapping[str, Any]] = {
    "tf32": {"precision": "tf32"},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, channels last": {"precision": "bfloat16", "channels_last": True},
    "bfloat16, channels last, compiled": {"precision": "bfloat16", "channels_last": True, "compile": True},
}
_SETTINGS = {"landmarks": (), "rpf": ("shape.size_px=512",)}
_LARGEST_BATCH = 8
_FIRST_STEP = 16  # after ENTED's warm-up, so that 16 timed steps hold each lazy phase as often as any others


@dataclass(frozen=True)
class Timing:
    """How many steps come before those that are timed, how many are timed, and after how long timing ends early."""

    warm_up: int = 2
    steps: int = 16
    longest_s: float = 8.0


@dataclass(frozen=True)
class StepCost:
    """The mean over the timed steps. memory_gb: the most that torch had allocated, None without a GPU."""

    model: str
    part: str
    way: str
    batch: int
    step_ms: float | None = None
    waiting_share: float | None = None
    memory_gb: float | None = None
    steps: int = 0
    reason: str = ""  # why there are no figures


@dataclass
class Clock:
    """Times the steps of a loop after its warm-up."""

    timing: Timing
    batches: DeviceBatches
    device: torch.device
    seconds: float = 0.0
    waited_s: float = 0.0
    steps: int = 0
    guard: NanGuard | None = None
    _done: int = 0
    _since: float = 0.0
    _waited_before_s: float = 0.0

    def after(self, _step: int, _last: bool, _means: MetricAverager, guard: NanGuard) -> None:
        """Called by the loop after each step."""
        self.guard = guard
        self._done += 1
        self.steps = max(0, self._done - self.timing.warm_up)
        if not self.steps:
            self._since, self._waited_before_s = self._now()

    def over(self) -> bool:
        """Whether enough steps were timed, or for long enough; called by the loop in each step before `after`."""
        begun = self._done + 1 > self.timing.warm_up
        late = begun and time.perf_counter() - self._since > self.timing.longest_s
        return late or self._done + 1 >= self.timing.warm_up + self.timing.steps

    def end(self) -> None:
        """Read the clock after the last step. Raises Diverged for losses that were not finite."""
        now, waited_s = self._now()
        if self.guard is not None and (where := self.guard.check()) is not None:
            raise Diverged(where)
        self.seconds, self.waited_s = now - self._since, waited_s - self._waited_before_s

    def _now(self) -> tuple[float, float]:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter(), self.batches.waited_s


def costs(
    name: str,
    model: Any,
    place: Path,
    side_px: int,
    device: torch.device,
    ways: Sequence[str],
    timing: Timing,
) -> Iterator[StepCost]:
    """The cost of a step of each part of the model's training, in each way. side_px: of the stored faces."""
    for way in ways:
        ready = replace(model, loop=replace(model.loop, **WAYS[way]))
        for part, (after, _) in parts_of(ready).items():
            empty = StepCost(name, part, way, model.data.batch_size)
            first = after if isinstance(model, Rpf) else _FIRST_STEP
            try:
                yield _cost(empty, ready, place, side_px, first, device, timing)
            except Exception as error:  # noqa: BLE001  the other ways go on
                reason = (
                    f"{type(error).__name__}: {(str(error).strip() or 'no reason').splitlines()[0][:150]}"
                )
                yield replace(empty, reason=reason)
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.compiler.reset()


def _cost(
    empty: StepCost, model: Model, place: Path, side_px: int, step: int, device: torch.device, timing: Timing
) -> StepCost:
    loop, data, on_gpu = replace(model.loop, steps=10**9), model.data, device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    round_products(loop.precision)
    networks = {name: network.to(device).train() for name, network in model.networks().items()}
    if loop.channels_last:
        use_channels_last(networks)
    module = model.training_module(networks, device, EMBEDDER)
    averages = EMA(networks, module.averaged, loop.average_half_life_images)
    if loop.compile:
        compile_networks(networks)
    preparation = FacePreparation(
        size_px=side_px,
        references=data.references,
        reduce_px=None if model.size_px == side_px else model.size_px,
        degradation=data.degradation,
    )
    stream = face_stream(
        [Source(str(place))],
        data.batch_size,
        preparation,
        workers=data.workers,
        at_once=None if on_gpu else 1,
    )
    warp = warp_for(model.size_px) if data.references else None
    with closing(stream), closing(on_device(stream, device, warp=warp, points=module.points)) as batches:
        clock = Clock(timing, batches, device)
        ranks = Distributed(device=device)
        run_loop(module, averages, batches, data.batch_size, step, loop, ranks, clock.after, clock.over)
        clock.end()
    return replace(
        empty,
        step_ms=1000 * clock.seconds / clock.steps,
        waiting_share=min(1.0, clock.waited_s / clock.seconds),
        memory_gb=torch.cuda.max_memory_allocated(device) / 1e9 if on_gpu else None,
        steps=clock.steps,
    )


def model_for_gpu(name: str) -> Any:
    """The model at 512 px (`landmarks`: 256), with at most 8 faces in a batch. Raises UserError."""
    model = model_of(name, "paper", _SETTINGS.get(name, ()))
    return replace(model, data=replace(model.data, batch_size=min(model.data.batch_size, _LARGEST_BATCH)))


def main() -> None:
    """Print a line for each part and way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("model", choices=MODULES)
    parser.add_argument("data", type=Path)
    words = parser.parse_args()
    model, device = model_for_gpu(words.model), torch.device("cuda")
    for cost in costs(words.model, model, words.data, 512, device, list(WAYS), Timing()):
        print(json.dumps(asdict(cost)), flush=True)


if __name__ == "__main__":
    main()
