"""The loop on a GPU: as on the CPU within rounding, in each precision, compiled, and resumed to the same numbers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.train import train
from tests.trainers.loop.toy import LOOP, Toy, log_lines, train_toy

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
QUIET = Toy(noise=0.0)


def on_gpu(model: Toy, faces: Path, run: Path, steps: int | None = None) -> list[dict[str, Any]]:
    done = [0]

    def stop() -> bool:
        done[0] += 1
        return steps is not None and done[0] >= steps

    ranks = Distributed(device=torch.device("cuda", 0))
    resume = (run / "checkpoints").is_dir()
    train("toy", model, [str(faces)], run, resume, ranks, announce=lambda _line: None, stop=stop)
    return [{k: v for k, v in line.items() if k != "gpu_memory_gb"} for line in log_lines(run)]


def test_the_first_losses_are_those_of_the_cpu(faces: Path, tmp_path: Path) -> None:
    here = train_toy(QUIET, faces, tmp_path / "cpu")
    there = on_gpu(QUIET, faces, tmp_path / "gpu")
    assert there[0]["generator/pixels"] == pytest.approx(here[0]["generator/pixels"], rel=1e-3)


@pytest.mark.parametrize(
    "way",
    [
        {"precision": "tf32"},
        {"precision": "bfloat16", "channels_last": True},
        {"precision": "bfloat16", "channels_last": True, "compile": True},
    ],
)
def test_each_way_of_computing_is_near_float32(way: dict[str, Any], faces: Path, tmp_path: Path) -> None:
    exact = on_gpu(QUIET, faces, tmp_path / "exact")
    rough = on_gpu(replace(QUIET, loop=replace(LOOP, **way)), faces, tmp_path / "rough")
    assert rough[-1]["validation/mse"] == pytest.approx(exact[-1]["validation/mse"], rel=0.1)


def test_a_resumed_run_goes_on_as_it_would_have(faces: Path, tmp_path: Path) -> None:
    whole = on_gpu(Toy(), faces, tmp_path / "whole")
    on_gpu(Toy(), faces, tmp_path / "parts", steps=3)
    parts = on_gpu(Toy(), faces, tmp_path / "parts")
    for one, other in zip(whole, parts, strict=True):
        for name, value in one.items():
            assert other[name] == pytest.approx(value, rel=1e-4, nan_ok=True), name
