"""What a step of training costs, and what each way of computing it saves: time, memory, share of waiting for data.

    python -m benchmarks.training SET                                    # refine, preset tiny
    python -m benchmarks.training SET --preset paper --model rdfr        # 512 px: wants a GPU
    python -m benchmarks.training SET --preset paper --model refine --set weights.identity=dlib shape.embedding_dim=128
    python -m benchmarks.training SET --preset paper --model rpf --set shape.size_px=512 weights.identity=dlib
    python -m benchmarks.training SET --profile                          # and the operators that take longest

SET is a build or a folder of shards. Weights are drawn, losses are those of the model; each case is a training of its
own, of which the last steps count. `peer` is plain float32, timed in the same run. What a model learns in turn is
hurried through: ENTED is timed after its warm-up, without the k-means between steps; RPF in three parts, all refinement
modules (which learn in the same steps), and warping and synthesis of the last block. Memory is the most of all parts.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.paired import OUT
from facerefs.pipeline.config.read_settings import read_settings
from facerefs.pipeline.errors import UserError
from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.distributed import joined
from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.models.catalogue import MODULES, presets
from facerefs.trainers.models.model import Model
from facerefs.trainers.models.rpf.rpf import Rpf
from facerefs.trainers.train import CannotTrain, train

_WAYS: Mapping[str, Mapping[str, Any]] = {
    "float32": {},
    "channels last": {"channels_last": True},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, channels last": {"precision": "bfloat16", "channels_last": True},
    "bfloat16, channels last, compiled": {"precision": "bfloat16", "channels_last": True, "compile": True},
}
_EVERY = 16  # so that each line of the log holds the lazy phases once
_PRIORS = {"generator", "discriminator"}  # of StyleGAN2, drawn instead of read
_WITHOUT = {"parsing"}  # works without weights too, and not with drawn ones
_LESSON = 3 * _EVERY
_HURRIED: Mapping[str, Sequence[str]] = {
    "ented": (f"codes.warm_up_steps={_EVERY}", f"codes.until={_EVERY}", "codes.reservoir=1024"),
    "rpf": tuple(f"schedule.{name}_steps={_LESSON}" for name in ("refinement", "warping", "synthesis")),
}


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
    parser.add_argument("--model", choices=MODULES, default="refine")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=5 * _EVERY, help="of each training; RPF has its own")
    parser.add_argument(
        "--ways", nargs="+", choices=_WAYS, default=[way for way in _WAYS if "compiled" not in way]
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings, as of facerefs train"
    )
    parser.add_argument("--profile", action="store_true")
    words = parser.parse_args()
    if words.steps < 2 * _EVERY:
        parser.error(
            f"--steps cannot be {words.steps}: the first {_EVERY} do not count, so take {2 * _EVERY} or more"
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    samples = words.data / "samples"
    place = samples if samples.is_dir() else words.data
    try:
        model = drawn(words.model, words.preset, words.set)
        costs = {way: _costs(words.model, _in(model, way, words.steps), place, device) for way in words.ways}
    except (UserError, CannotTrain, MissingWeights) as error:
        raise SystemExit(f"training: {error}") from None
    case = f"{words.model} {words.preset}, {model.size_px} px, batch {model.data.batch_size}, {device.type}"
    _write(case, costs)
    if words.profile:
        _profile(words.model, _in(model, words.ways[-1], _EVERY), place, device)


def drawn(name: str, preset: str, settings: Sequence[str] = ()) -> Any:
    """The preset with drawn weights in place of files that may not be here. Raises UserError."""
    known = presets(name)
    if preset not in known:
        raise UserError(f"{name} has no preset {preset!r}: choose {', '.join(known)}")
    model: Any = known[preset]
    weights = to_dict(model).get("weights", {})
    missing = [key for key in weights if key in _PRIORS or weights[key] == "cache"]
    random = [f"weights.{key}={'' if key in _WITHOUT else 'random'}" for key in missing]
    hurried = _HURRIED.get(name, ())
    return read_settings(
        type(model), "loop.steps=1000", settings=[*random, *hurried, *settings], under=to_dict(model)
    )


def _in(model: Any, way: str, steps: int) -> Any:
    total = model.training_stages[-1].end_step if isinstance(model, Rpf) else steps
    loop = replace(
        model.loop, steps=total, log_every=_EVERY, validate_every=10**9, checkpoint_every=10**9,
        validation_samples=1, grid_samples=1, **_WAYS[way],
    )  # fmt: skip
    return replace(model, loop=loop, data=replace(model.data, validation_split="train"))


def parts_of(model: Model) -> dict[str, tuple[int, int]]:
    """What is timed of a training: the steps after the one and up to the other, by name."""
    if not isinstance(model, Rpf):
        return {"": (0, model.loop.steps)}
    last = model.shape.blocks
    names = {"refinement": "refinement, all blocks"} | {
        module: f"{module}, block {last}" for module in ("warping", "synthesis")
    }
    return {
        names[one.module]: (one.start_step, one.end_step)
        for one in model.training_stages
        if one.block == last
    }


def _costs(name: str, model: Model, place: Path, device: torch.device) -> dict[str, Cost]:
    """Of each part of a training."""
    with tempfile.TemporaryDirectory() as folder:
        _train(name, model, place, device, Path(folder, "run"))
        lines = [json.loads(line) for line in Path(folder, "run", "log.jsonl").read_text().splitlines()]
    timed = [line for line in lines if "images_per_s" in line]
    return {
        part: _cost([line for line in timed if after < line["step"] <= until], model.data.batch_size)
        for part, (after, until) in parts_of(model).items()
    }


def _cost(lines: Sequence[Mapping[str, float]], batch: int) -> Cost:
    steady = lines[1:]  # the first one holds the start
    return Cost(
        step_ms=1000 * batch / statistics.median(line["images_per_s"] for line in steady),
        waiting_share=statistics.median(line["waiting_share"] for line in steady),
        memory_gb=steady[-1].get("gpu_memory_gb"),
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


def _write(case: str, costs: Mapping[str, Mapping[str, Cost]]) -> None:
    plainly = next(iter(costs.values()))
    lines = []
    for way, parts in costs.items():
        for part, cost in parts.items():
            ratio = plainly[part].step_ms / cost.step_ms
            memory = "" if cost.memory_gb is None else f", {cost.memory_gb:.1f} GB at most"
            named = ", ".join(filter(None, (case, part, way)))
            _say(f"{named}: {cost.step_ms:.0f} ms a step, ratio {ratio:.2f}, "
                 f"{cost.waiting_share:.1%} waiting for data{memory}")  # fmt: skip
            lines.append({"case": named, "ours": cost.step_ms, "peer": plainly[part].step_ms, "unit": "ms/step",
                          "ratio": ratio, "low": ratio, "high": ratio})  # fmt: skip
    OUT.mkdir(exist_ok=True)
    (OUT / "training.json").write_text(json.dumps(lines, indent=1) + "\n")


def _say(line: str) -> None:
    print(line)


def _nobody(_line: str) -> None:
    """The training's own lines are not of interest."""


if __name__ == "__main__":
    main()
