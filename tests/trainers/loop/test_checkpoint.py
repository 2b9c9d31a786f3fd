"""Checkpoints: whole or not there, the newest few kept, and strangers' files refused in one sentence."""

import os
import resource
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from facerefs.trainers.loop.checkpoint import Checkpoint, CheckpointError, checkpoints, newest, read, write

STATE = Checkpoint(
    model="toy",
    settings={"loop": {"steps": 3}},
    embedder="",
    step=1,
    networks={"generator": {"weight": torch.arange(4096.0)}},
    averages={},
    optimisers={
        "generator": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"betas": (0.0, 0.99)}]}
    },
    stream={"samples": 8, "manifest": "x"},
    notes=("random",),
)
ROOT = Path(__file__).parents[3]


def refused(path: Path, said: str) -> None:
    with pytest.raises(CheckpointError, match=said) as error:
        read(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    again = read(write(tmp_path, STATE, keep=1))
    assert torch.equal(again.networks["generator"]["weight"], torch.arange(4096.0))
    assert again.optimisers["generator"]["param_groups"] == [{"betas": (0.0, 0.99)}]
    assert (again.model, again.settings, again.step) == ("toy", {"loop": {"steps": 3}}, 1)
    assert (again.stream, again.notes) == ({"samples": 8, "manifest": "x"}, ("random",))


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10, 100_000_000, 20):
        write(tmp_path, replace(STATE, step=step), keep=2)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000020.pt", "step-100000000.pt"]
    assert newest(tmp_path).name == "step-100000000.pt"


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        newest(tmp_path / "nowhere")


def test_one_that_is_cut_short_is_told_and_the_older_one_offered(tmp_path: Path) -> None:
    write(tmp_path, STATE, keep=3)
    path = write(tmp_path, replace(STATE, step=2), keep=3)
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, "step-00000002.pt cannot be read .*: remove it to go on from step-00000001.pt")
    path.write_bytes(b"")
    refused(path, "cannot be read")


def test_flipped_bits_are_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, STATE, keep=1)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1  # in the middle of the weights
    path.write_bytes(data)
    refused(path, "cannot be read as a checkpoint")


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch hacked",)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": "facerefs checkpoint 1", "step": Hostile()}, "step-00000001.pt")
    refused(tmp_path / "step-00000001.pt", "cannot be read")
    assert not Path("hacked").exists()


@pytest.mark.parametrize(
    "content",
    [
        {"generator": torch.zeros(2)},
        [1, 2],
        {"format": "facerefs checkpoint 1", "step": 3},
        {"format": "facerefs checkpoint 99"},
    ],
)
def test_other_files_of_torch_are_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "step-00000003.pt")
    refused(tmp_path / "step-00000003.pt", "give another, or start a new run")


def test_parts_of_another_kind_are_refused(tmp_path: Path) -> None:
    refused(write(tmp_path, replace(STATE, networks=[1]), keep=1), "lacks parts")  # type: ignore[arg-type]


def test_what_would_unpack_to_more_than_it_is_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "step-00000001.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\0" * 50_000_000)
    refused(path, "would unpack to 50000000 bytes")


def test_a_pickle_that_ends_within_a_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "step-00000001.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02X\x01")  # a text whose length has four bytes
        file.writestr("archive/version", b"3\n")
    refused(path, "cannot be read as a checkpoint")


def test_a_full_disk_is_told_and_leaves_no_half_of_one(tmp_path: Path) -> None:
    write(tmp_path, STATE, keep=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path, replace(STATE, step=2), keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]
    assert read(newest(tmp_path)).step == 1


KILLED = """
import os, signal, sys, torch
from dataclasses import replace
from pathlib import Path
from tests.trainers.loop.test_checkpoint import STATE
from facerefs.trainers.loop import checkpoint
folder = Path(sys.argv[1])
checkpoint.write(folder, STATE, keep=1)
save = torch.save
def save_half(state, file):
    save(state, file)
    file.truncate(file.tell() // 2)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
torch.save = save_half
checkpoint.write(folder, replace(STATE, step=2), keep=1)
"""


def test_kill_9_in_the_middle_of_writing_leaves_the_older_one_whole(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read(newest(tmp_path)).step == 1
    assert len(list(tmp_path.iterdir())) == 2  # the older one, and what was being written
    write(tmp_path, replace(STATE, step=3), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003.pt"]
