"""What a step of training costs, and what each way of computing it saves: time, memory, share of waiting for data.

    python -m benchmarks.training SET                                    # preset tiny
    python -m benchmarks.training SET --preset paper --model refine      # 512 px: wants a GPU
    python -m benchmarks.training SET --profile                          # and the operators that take longest

SET is a build or a folder of shards. Weights are drawn, losses are those of the model; each case is a training of its
own, of which the last steps count. `peer` is plain float32, timed in the same run.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.paired import OUT
from trainers.loop.ranks import joined
from trainers.models.catalogue import presets
from trainers.models.model import Model
from trainers.train import train

_WAYS: Mapping[str, Mapping[str, Any]] = {
    "float32": {},
    "channels last": {"channels_last": True},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, channels last": {"precision": "bfloat16", "channels_last": True},
    "bfloat16, channels last, compiled": {"precision": "bfloat16", "channels_last": True, "compile": True},
}
_RANDOM: Mapping[str, str] = {"generator": "random", "discriminator": "random", "lpips": "random"}
_EVERY = 16  # so that each line of the log holds the lazy phases once


@dataclass(frozen=True)
class Cost:
    """Of one step."""

    step_ms: float
    waiting_share: float
    memory_gb: float | None  # of the GPU at most


def main() -> None:
    """Print a line for each way, and write benchmarks/out/training.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="refine")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=5 * _EVERY)
    parser.add_argument(
        "--ways", nargs="+", choices=_WAYS, default=[way for way in _WAYS if "compiled" not in way]
    )
    parser.add_argument("--identity", help="embedder of the shards, where the preset has another")
    parser.add_argument("--embedding-dim", type=int)
    parser.add_argument("--profile", action="store_true")
    words = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    samples = words.data / "samples"
    place = samples if samples.is_dir() else words.data
    model = _drawn(presets(words.model)[words.preset], words.identity, words.embedding_dim)
    costs = {way: _cost(words.model, _in(model, way, words.steps), place, device) for way in words.ways}
    _write(f"{words.model} {words.preset}, batch {model.data.batch_size}, {device.type}", costs)
    if words.profile:
        _profile(words.model, _in(model, words.ways[-1], _EVERY), place, device)


def _drawn(model: Any, identity: str | None, dimensions: int | None) -> Any:
    """The model with drawn weights in place of files that may not be here."""
    if hasattr(model, "weights"):
        drawn = {name: value for name, value in _RANDOM.items() if hasattr(model.weights, name)}
        if identity is not None:
            drawn["identity"] = identity
        model = replace(model, weights=replace(model.weights, **drawn))
    return (
        model if dimensions is None else replace(model, shape=replace(model.shape, embedding_dim=dimensions))
    )


def _in(model: Any, way: str, steps: int) -> Any:
    loop = replace(
        model.loop, steps=steps, log_every=_EVERY, validate_every=10**9, checkpoint_every=10**9,
        validation_samples=1, grid_samples=1, **_WAYS[way],
    )  # fmt: skip
    return replace(model, loop=loop, data=replace(model.data, validation_split="train"))


def _cost(name: str, model: Model, place: Path, device: torch.device) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        _train(name, model, place, device, Path(folder, "run"))
        lines = [json.loads(line) for line in Path(folder, "run", "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "images_per_s" in line][1:]  # the first line holds the start
    speed = statistics.median(line["images_per_s"] for line in steps)
    return Cost(
        step_ms=1000 * model.data.batch_size / speed,
        waiting_share=statistics.median(line["waiting_share"] for line in steps),
        memory_gb=steps[-1].get("gpu_memory_gb"),
    )


def _train(name: str, model: Model, place: Path, device: torch.device, run: Path) -> None:
    with joined(device, 0, 1) as ranks:
        train(name, model, [str(place)], run, False, ranks, _nobody, lambda: False)


def _profile(name: str, model: Model, place: Path, device: torch.device) -> None:
    """Print what takes longest of a short training."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with tempfile.TemporaryDirectory() as folder, profile(activities=activities) as recorded:
        _train(name, model, place, device, Path(folder, "run"))
    order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    _say(recorded.key_averages().table(sort_by=order, row_limit=20, max_name_column_width=60))


def _write(case: str, costs: Mapping[str, Cost]) -> None:
    plain = next(iter(costs.values()))
    lines = []
    for way, cost in costs.items():
        ratio = plain.step_ms / cost.step_ms
        memory = "" if cost.memory_gb is None else f", {cost.memory_gb:.1f} GB at most"
        _say(f"{case}, {way}: {cost.step_ms:.0f} ms a step, ratio {ratio:.2f}, "
             f"{cost.waiting_share:.1%} waiting for data{memory}")  # fmt: skip
        lines.append({"case": f"{case}, {way}", "ours": cost.step_ms, "peer": plain.step_ms, "unit": "ms/step",
                      "ratio": ratio, "low": ratio, "high": ratio})  # fmt: skip
    OUT.mkdir(exist_ok=True)
    (OUT / "training.json").write_text(json.dumps(lines, indent=1) + "\n")


def _say(line: str) -> None:
    print(line)


def _nobody(_line: str) -> None:
    """The training's own lines are not of interest."""


if __name__ == "__main__":
    main()
