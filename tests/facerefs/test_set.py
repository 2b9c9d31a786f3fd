"""A training set opened and streamed through `import facerefs`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import facerefs
from tests.pipeline.small_set import SIZE_PX, make_set

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("set"))


def test_an_opened_set_says_what_it_holds(folder: Path) -> None:
    training_set = facerefs.open_set(folder)
    assert len(training_set) == 16
    assert sum(training_set.splits.values()) == 16
    assert all(count > 0 for count in training_set.splits.values())


def test_samples_are_decoded_one_by_one(folder: Path) -> None:
    samples = facerefs.open_set(folder).samples()
    assert len(samples) == 16
    sample = samples[0]
    assert isinstance(sample, facerefs.Sample)
    assert sample.target.image.shape == (SIZE_PX, SIZE_PX, 3)
    assert len(sample.references) == 1


def test_the_folder_of_a_build_stands_for_its_samples(folder: Path) -> None:
    assert facerefs.open_set(folder.parent) == facerefs.open_set(folder)
    hidden = folder.parent / "._train-00000.tar"  # as macOS leaves it
    hidden.write_bytes(b"\0\5\x16\7")
    assert facerefs.open_set(folder.parent) == facerefs.open_set(folder)
    hidden.unlink()


def test_no_set_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        facerefs.StreamError, match=r"has no manifest.json: it holds no finished training set"
    ):
        facerefs.open_set(tmp_path)


def test_batches_go_on_from_a_state(folder: Path) -> None:
    drawn = facerefs.FacePreparation(seed=5, size_px=SIZE_PX, degradation="rdfr")
    batches = facerefs.stream(folder, 2, drawn, workers=0)
    next(batches)
    state = batches.state_dict()
    wanted = next(batches)
    found = next(facerefs.stream(folder, 2, drawn, workers=0, state=state))
    assert wanted.target.shape == (2, 3, SIZE_PX, SIZE_PX)
    assert torch.equal(wanted.degraded, found.degraded)


def test_a_split_is_streamed_alone(folder: Path) -> None:
    with pytest.raises(facerefs.StreamError, match="has no samples of split 'nothing'"):
        facerefs.stream(folder, 2, facerefs.FacePreparation(size_px=SIZE_PX), split="nothing", workers=0)


def test_a_script_that_drops_its_stream_ends(folder: Path, tmp_path: Path) -> None:
    """The workers ignore SIGTERM, and Python waits for its children: they must be gone before that."""
    script = tmp_path / "script.py"
    script.write_text(
        "import facerefs\n"
        "if __name__ == '__main__':\n"
        f"    drawn = facerefs.FacePreparation(size_px={SIZE_PX}, degradation='rdfr')\n"
        f"    print(next(facerefs.stream({str(folder)!r}, 2, drawn, workers=1)).target.shape)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert f"[2, 3, {SIZE_PX}, {SIZE_PX}]" in done.stdout
