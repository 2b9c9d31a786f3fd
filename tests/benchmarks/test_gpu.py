"""`make gpu` without a GPU: all but the kernels."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import Part, rows_of, run_part, table
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
        ("landmarks", ["tf32", "bfloat16, channels last"], [""]),
        ("rpf", ["bfloat16"], ["refinement, all blocks", "warping, block 3", "synthesis, block 3"]),
    ],
)
def test_a_step_is_timed_in_each_part_and_way(
    name: str, ways: list[str], parts: list[str], place: Path
) -> None:
    side = "size_px=32" if name == "landmarks" else "shape.size_px=32"
    model = model_of(name, "tiny", ["data.workers=0", "data.batch_size=2", side])
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


def test_all_parts_run_within_the_time_and_are_written_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: dict[str, tuple[Sequence[str], float]] = {}

    def run(name: str, command: Sequence[str], longest_s: float) -> Part:
        ran[name] = command, longest_s
        assert find_spec(command[2]) is not None
        costs = (json.dumps(asdict(StepCost(name, "", way, 4, 350.0, 0.02, 14.3, 16))) for way in WAYS)
        return Part(name, 1.0, tuple(costs) if name in MODULES else ("9 passed",))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(gpu, "run_part", run)
    monkeypatch.setattr(gpu, "make_set", lambda folder, dimensions: folder / "samples")
    monkeypatch.setattr(gpu, "OUT", tmp_path)
    gpu.main()
    assert list(ran) == ["tests", "degrade", "stream", *MODULES]
    assert sum(longest_s for name, (_, longest_s) in ran.items() if name not in MODULES) < gpu.TOTAL_S / 2
    first = next(iter(MODULES))
    assert ran[first][1] == pytest.approx(
        gpu.TOTAL_S / len(MODULES), rel=0.1
    )  # of all time, as nothing took any
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert (found["gpu"], len(found["models"])) == ("a GPU", len(MODULES) * len(WAYS))
    assert [part["said"] for part in found["parts"]] == [["9 passed"]] * 3
    assert "| `rdfr` | bfloat16 | 4 | 350 ms | 14.3 GB | 2.0% |" in capsys.readouterr().out


def test_models_are_those_of_the_papers_with_batches_that_are_timed_quickly() -> None:
    models = {name: model_for_gpu(name) for name in MODULES}
    assert {name: model.size_px for name, model in models.items()} == dict.fromkeys(MODULES, 512) | {
        "landmarks": 256
    }
    assert max(model.data.batch_size for model in models.values()) == 8
