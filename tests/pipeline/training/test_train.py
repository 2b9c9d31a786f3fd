"""`facerefs train` as a user meets it, with a toy among the models."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.training.job import TrainOptions, check_options
from facerefs.pipeline.training.train import train_command
from facerefs.trainers.loop.checkpoint import checkpoints
from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.models.catalogue import MODULES, presets
from facerefs.trainers.models.refine import Refine
from tests.trainers.loop.toy import log_lines, write_faces

ROOT = Path(__file__).parents[3]
TOY = "tests.trainers.loop.toy"


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "toy", TOY)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build's folder, as far as training looks at it."""
    folder = tmp_path_factory.mktemp("build")
    write_faces(folder / "samples")
    return folder


@pytest.fixture
def options(data: Path, tmp_path: Path) -> TrainOptions:
    return TrainOptions("toy", tmp_path / "run", (str(data),), steps=3, preset="tiny")


def train(options: TrainOptions) -> None:
    train_command(options, Console(soft_wrap=True, markup=False))


def refused(options: TrainOptions, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        train(options)
    assert "\n" not in str(error.value)


def steps(options: TrainOptions) -> list[int]:
    return [line["step"] for line in log_lines(options.run) if "steps" in line]


def test_a_run_begins_and_is_gone_on_with(options: TrainOptions, capsys: pytest.CaptureFixture[str]) -> None:
    train(options)
    assert steps(options) == [1, 2, 3]
    written = yaml.safe_load((options.run / "settings.yaml").read_text())
    assert written["model"] == "toy"
    assert written["settings"]["loop"]["steps"] == 3
    assert Path(written["data"][0]).name == "samples"
    out = capsys.readouterr().out
    assert "note        all weights are random" in out
    assert "train       step 3/3, " in out
    train(TrainOptions("toy", options.run, (), resume=True, steps=5, settings=("loop.clip_norm=1",)))
    assert steps(options) == [1, 2, 3, 4, 5]
    out = capsys.readouterr().out
    assert "changed     loop.steps: 3 -> 5" in out
    assert "changed     loop.clip_norm: None -> 1.0" in out
    assert yaml.safe_load((options.run / "settings.yaml").read_text())["settings"]["loop"]["steps"] == 5


def test_a_run_from_before_a_setting_was_there_goes_on_with_its_default(
    options: TrainOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    train(options)
    file = options.run / "settings.yaml"
    tree = yaml.safe_load(file.read_text())
    del tree["settings"]["loop"]["seed"], tree["settings"]["loop"]["clip_norm"]
    file.write_text(yaml.safe_dump(tree))
    capsys.readouterr()
    train(TrainOptions("toy", options.run, (), resume=True, steps=4))
    changed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("changed")]
    assert changed == ["changed     loop.steps: 3 -> 4"]


def test_a_refine_of_earlier_versions_goes_on_with_the_landmarks_that_it_had(tmp_path: Path) -> None:
    """Its null was the truth in training; the default of today would change what it learns."""
    settings = to_dict(presets("refine")["tiny"])
    del settings["jitter_nme"]
    settings["weights"]["landmarks"] = None
    tree = {"model": "refine", "preset": "tiny", "data": ["set/samples"], "settings": settings}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(tree))
    job, changes = check_options(TrainOptions("refine", tmp_path, (), resume=True), tmp_path)
    assert changes == []
    assert isinstance(job.model, Refine)
    assert (job.model.weights.landmarks, job.model.landmark_run) == (None, None)


def test_a_run_that_is_there_is_not_trained_anew(options: TrainOptions) -> None:
    train(options)
    begun = (options.run / "settings.yaml").read_text()
    refused(replace(options, settings=("lr=0.5",)), "already: add --resume")
    assert (options.run / "settings.yaml").read_text() == begun
    refused(
        replace(options, resume=True, settings=("loop.seed=1", "lr=0.1")),
        r"loop.seed: 0 -> 1; lr: 0.001 -> 0.1",
    )
    refused(replace(options, resume=True, model="refine"), "holds a run of toy, not of refine")
    refused(replace(options, resume=True, data=("elsewhere",)), "elsewhere")
    damaged = checkpoints(options.run / "checkpoints")[-1]
    damaged.write_bytes(b"not a checkpoint")
    refused(replace(options, resume=True), "remove it to go on from step-00000002.pt")
    damaged.unlink()
    train(replace(options, resume=True))
    assert steps(options) == [1, 2, 3]


def test_what_a_resumed_run_cannot_be_is_not_kept_for_the_next_time(options: TrainOptions) -> None:
    train(options)
    begun = (options.run / "settings.yaml").read_text()
    refused(replace(options, steps=5, resume=True, data=("nowhere",)), "nowhere")
    assert (options.run / "settings.yaml").read_text() == begun


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "gan"}, "no model 'gan': choose refine, "),
        ({"preset": "huge"}, "no preset 'huge': choose tiny, paper"),
        ({"data": ()}, "add --data"),
        ({"data": ("nowhere",)}, "there is no folder .*nowhere"),
        ({"device": "tpu"}, "choose cpu or cuda"),
        ({"resume": True}, "holds no run to resume"),
        ({"settings": ("loop.step=3",)}, "did you mean `loop.steps`"),
        ({"settings": ("loop.steps=many",)}, "`loop.steps` cannot be 'many'"),
        ({"model": "refine", "settings": ("adam.beta2=1",)}, "`adam.beta2` cannot be 1"),
        ({"settings": ("data.degradation=",)}, "`data.degradation` cannot be None"),
        ({"settings": ("loop",)}, "write for example --set loop.steps=1000"),
        ({"settings": ("side_px=48",)}, "a power of two, not 48"),
        ({"settings": ("side_px=64",)}, "holds faces of 32 px, the networks want 64 px"),
        ({"settings": ("data.references=2",)}, "select.references=2, or set data.references=1"),
        ({"settings": ("data.degradation=fog",)}, "degradation is one of"),
        (
            {"settings": ("data.degradation=stored",)},
            "stored is of faces of 32 px, and the networks see them at 16",
        ),
        ({"settings": ("data.validation_split=test",)}, "set data.validation_split=train"),
        ({"settings": ("data.sampling=identity",)}, "choose sampling 'sample'"),
        ({"settings": ("learnable=false",)}, "cannot be learnt from"),
    ],
)
def test_a_mistake_is_one_sentence_before_the_first_step(
    options: TrainOptions, changed: dict[str, object], said: str
) -> None:
    refused(replace(options, **changed), said)  # type: ignore[arg-type]
    assert not (options.run / "log.jsonl").exists()
    assert not (options.run / "settings.yaml").exists()


def test_a_folder_of_something_else_is_left_alone(options: TrainOptions) -> None:
    options.run.mkdir()
    (options.run / "taxes.txt").write_text("mine")
    refused(options, "holds other files and no run")


@pytest.mark.parametrize(
    "text", ["debug: true\n", "model: toy\npreset: tiny\ndata: [5]\nsettings: {}\n", "- 1\n"]
)
def test_settings_of_something_else_are_left_alone(options: TrainOptions, text: str) -> None:
    options.run.mkdir()
    (options.run / "settings.yaml").write_text(text)
    refused(options, "settings.yaml")
    refused(replace(options, resume=True), "settings.yaml")
    assert (options.run / "settings.yaml").read_text() == text


def test_a_batch_that_the_workers_cannot_share(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(replace(options, workers=3, settings=("data.batch_size=2",)), "multiple of 3")
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused(replace(options, workers=2), "torchrun starts the workers itself")


def test_a_loss_that_breaks_before_the_first_checkpoint_leaves_nothing_to_go_on_from(
    options: TrainOptions,
) -> None:
    with pytest.raises(RunError, match="at step 1 ") as error:
        train(replace(options, settings=("broken_at_call=1",)))
    assert "go on" not in str(error.value)


def test_a_broken_loss_is_a_failed_run_that_need_not_be_repeated(options: TrainOptions) -> None:
    with pytest.raises(RunError, match=r"at step 3 .*step-00000002[.]pt") as error:
        train(replace(options, settings=("broken_at_call=3",)))
    assert not error.value.again


def test_shards_that_break_on_the_way_are_a_failed_run_to_go_on_with(
    options: TrainOptions, tmp_path: Path
) -> None:
    shards = write_faces(tmp_path / "shards")

    def damage() -> None:
        _wait_for_steps(options.run)
        tar = shards / "train-00000.tar"
        with tar.open("r+b") as file:
            file.write(bytes(tar.stat().st_size))

    threading.Thread(target=damage).start()
    with pytest.raises(RunError, match=r"step-\d+[.]pt.* with --resume continues from there") as error:
        train(replace(options, data=(str(shards),), steps=100_000))
    assert not error.value.again


def test_a_full_disk_is_a_failed_run_to_go_on_with(options: TrainOptions) -> None:
    train(options)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(
            RunError, match=r"File too large.*step-00000003[.]pt.* with --resume continues from there"
        ):
            train(replace(options, data=(), resume=True, steps=5))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    train(replace(options, data=(), resume=True, steps=5))
    assert steps(options) == [1, 2, 3, 4, 5]


COMMAND = f"""
import sys
from facerefs.trainers.models.catalogue import MODULES
MODULES["toy"] = "{TOY}"
from facerefs.pipeline.cli import main
main()
"""


def test_a_schedulers_sigterm_ends_the_run_after_its_step(options: TrainOptions, data: Path) -> None:
    """All processes get it, that which reads the shards as well; Ctrl-C in a terminal is like it."""
    arguments = [
        "train",
        "toy",
        "--data",
        data,
        "--run",
        options.run,
        "--preset",
        "tiny",
        "--steps",
        "100000",
    ]
    seldom = ["--set", "loop.checkpoint_every=100000", "--set", "loop.validate_every=100000"]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments), *seldom, "--set", "data.workers=1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"NO_COLOR": "1"},
    )
    _wait_for_steps(options.run)
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    (kept,) = checkpoints(options.run / "checkpoints")
    last = int(kept.stem.removeprefix("step-"))
    assert last == steps(options)[-1]
    assert f"stopped     at step {last}, nothing is lost: the same command with --resume continues" in out
    train(replace(options, data=(), resume=True, steps=last + 2, settings=("data.workers=0",)))
    assert steps(options) == list(range(1, last + 3))


def test_control_c_ends_the_run_after_its_step(options: TrainOptions) -> None:
    def press() -> None:
        _wait_for_steps(options.run)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        train(replace(options, steps=100_000))
    assert signal.getsignal(signal.SIGINT) is before
    assert steps(options)[-1] == int(checkpoints(options.run / "checkpoints")[-1].stem.removeprefix("step-"))


def _wait_for_steps(run: Path) -> None:
    for _ in range(1200):
        if (run / "log.jsonl").exists() and (run / "log.jsonl").read_text().count("\n") > 3:
            return
        time.sleep(0.1)
    raise AssertionError("no step came")
