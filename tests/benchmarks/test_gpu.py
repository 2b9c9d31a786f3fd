"""`make gpu` without a GPU: all but the kernels."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import rows_of, run_part, table
from benchmarks.gpu_model import WAYS, StepCost, Timing, costs, model_for_gpu
from benchmarks.steps import model_of
from benchmarks.stream_set import make_set
from facerefs.trainers.models.catalogue import MODULES

CPU, SIDE_PX = torch.device("cpu"), 64


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("set"), SIDE_PX, people=2, photos=2, dimensions=128)


@pytest.fixture(autouse=True)
def _products_as_before() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_without_a_gpu_it_is_one_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "no NVIDIA GPU" in said.err


@pytest.mark.parametrize(
    ("name", "ways", "parts"),
    [
        ("refine", ["tf32", "bfloat16, channels last"], [""]),
        ("rpf", ["bfloat16"], ["refinement, all blocks", "warping, block 3", "synthesis, block 3"]),
    ],
)
def test_a_step_is_timed_in_each_part_and_way(
    name: str, ways: list[str], parts: list[str], place: Path
) -> None:
    model = model_of(name, "tiny", ["data.workers=0", "data.batch_size=2", "shape.size_px=32"])
    found = list(costs(name, model, place, SIDE_PX, CPU, ways, Timing(warm_up=1, steps=2)))
    assert [(one.way, one.part) for one in found] == [(way, part) for way in ways for part in parts]
    for one in found:
        assert (one.reason, one.steps, one.batch, one.memory_gb) == ("", 2, 2, None)
        assert one.step_ms is not None
        assert one.step_ms > 1
        assert one.waiting_share is not None
        assert 0 <= one.waiting_share <= 1


def test_timing_ends_early_and_a_way_that_fails_is_a_line(place: Path) -> None:
    model = model_of("landmarks", "tiny", ["data.workers=0", "data.batch_size=2"])
    (hasty,) = costs("landmarks", model, place, SIDE_PX, CPU, ["tf32"], Timing(warm_up=1, longest_s=0.0))
    assert hasty.steps == 1
    failed = list(costs("landmarks", model, place, 2 * SIDE_PX, CPU, ["tf32", "bfloat16"], Timing()))
    assert [one.way for one in failed] == ["tf32", "bfloat16"]
    assert all("px" in one.reason and one.step_ms is None for one in failed)


def test_a_part_that_fails_or_takes_too_long_keeps_what_it_said() -> None:
    line = json.dumps(asdict(StepCost("refine", "", "tf32", 4, 350.0, 0.02, 14.3, 16)))
    code = f"import time; print('{line}', flush=True); "
    slow = run_part("refine", [sys.executable, "-c", code + "time.sleep(60)"], 2.0)
    broken = run_part("rdfr", [sys.executable, "-c", code + "raise OSError('no disk')"], 20.0)
    assert slow.reason == "it was stopped after 2 s"
    assert broken.reason == "it ended with status 1: OSError: no disk"
    assert slow.seconds < 10
    rows = rows_of(slow)
    assert [row["way"] for row in rows] == list(WAYS)
    assert [row["reason"] for row in rows] == ["", *[slow.reason] * 3]
    assert table(rows).splitlines()[2:4] == [
        "| `refine` | tf32 | 4 | 350 ms | 14.3 GB | 2.0% |",
        "| `refine` | bfloat16 | it was stopped after 2 s | | | |",
    ]


def test_models_are_those_of_the_papers_with_batches_that_are_timed_quickly() -> None:
    models = {name: model_for_gpu(name) for name in MODULES}
    assert {name: model.size_px for name, model in models.items()} == dict.fromkeys(MODULES, 512) | {
        "landmarks": 256
    }
    assert max(model.data.batch_size for model in models.values()) == 8
