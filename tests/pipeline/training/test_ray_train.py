"""Training by Ray Train: real workers, real gloo."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.training.job import Job
from facerefs.pipeline.training.ray_train import train_on_ray
from facerefs.trainers.loop.checkpoint import newest, read
from facerefs.trainers.loop.nan_guard import Diverged
from facerefs.trainers.train import CannotTrain
from tests.trainers.loop.toy import DATA, LOOP, Toy, log_lines, train_toy, write_faces

pytestmark = pytest.mark.slow

STILL = Toy(loop=replace(LOOP, steps=4), data=replace(DATA, batch_size=4), noise=0.0, batch_norm=False)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    faces = write_faces(tmp_path / "faces")
    (tmp_path / "run").mkdir()
    return Job("toy", "tiny", STILL, (str(faces),), tmp_path / "run", resume=False, device="cpu")


def silent(_line: str) -> None:
    pass


@pytest.mark.usefixtures("ray_for_two")
def test_two_workers_train_as_one_does_until_control_c(job: Job, tmp_path: Path) -> None:
    """One start of Ray's workers, which takes seconds, for both."""
    long = replace(STILL, loop=replace(LOOP, steps=100_000, checkpoint_every=100_000, validate_every=2))
    said: list[str] = []

    def press() -> None:
        while len(said) < 9:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    outcome = train_on_ray(replace(job, model=long), 2, None, False, said.append)
    assert outcome.stopped
    assert read(newest(job.run / "checkpoints")).step == outcome.step == log_lines(job.run)[-1]["step"]
    words = [line.split()[0] for line in said]
    assert words[:7] == ["note", "train", "train", "validation", "train", "train", "validation"]
    assert words[-1] == "checkpoint"
    assert sorted(path.name for path in job.run.iterdir()) == [
        *("checkpoints", "grids", "log.jsonl", "settings.yaml", "tensorboard")
    ]
    alone = train_toy(long, Path(job.places[0]), tmp_path / "alone", stop_after=4)
    for ours, theirs in zip(log_lines(job.run), alone, strict=False):
        for name in (
            "step",
            "critic/gradient_norm",
            "generator/gradient_norm",
            "r1/penalty",
            "validation/mse",
        ):
            assert ours.get(name, 0) == pytest.approx(theirs.get(name, 0), rel=1e-5), name


@pytest.mark.usefixtures("ray_for_two")
def test_a_mistake_and_a_broken_loss_come_back_as_what_they_are(job: Job) -> None:
    many = replace(STILL, data=replace(DATA, batch_size=8))
    with pytest.raises(UserError, match="8 workers need 8 CPUs, and Ray finds 2"):
        train_on_ray(replace(job, model=many), 8, None, False, silent)
    with pytest.raises(CannotTrain, match=r"set data[.]batch_size to a multiple of 3"):
        train_on_ray(job, 3, None, False, silent)
    with pytest.raises(Diverged, match=r"at step 3 .*step-00000002[.]pt"):
        train_on_ray(replace(job, model=replace(STILL, broken_at_call=3)), 2, None, False, silent)
