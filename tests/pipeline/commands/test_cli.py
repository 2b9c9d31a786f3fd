"""The command line as a user meets it: one sentence for a mistake, and status 2.

What works, and one mistake, in real processes; other mistakes in this one, since each process imports for seconds.
"""

import io
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import pytest
from PIL import Image

from facerefs.pipeline.cli import main
from tests.pipeline.small_set import make_set

COMMAND = [sys.executable, "-c", "from facerefs.pipeline.cli import main; main()"]


def facerefs(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": str(root), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd or root,
        env=environment,
    )


def facerefs_here(*words: object) -> subprocess.CompletedProcess[str]:
    """The same in this process, for commands that start neither Ray nor other processes; a traceback is raised."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    status = 0
    argv = ["facerefs", *map(str, words)]
    with (
        patch.dict(os.environ, {"NO_COLOR": "1", "COLUMNS": "200"}),
        patch.object(sys, "argv", argv),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
    texts = [one.buffer.getvalue().decode() for one in (out, err)]
    return subprocess.CompletedProcess(argv, status, *texts)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos" / "ann"
    folder.mkdir(parents=True)
    Image.new("RGB", (80, 80), "red").save(folder / "a.png")
    return tmp_path / "photos"


def refused(result: subprocess.CompletedProcess[str], said: str) -> None:
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert said in result.stderr, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys; sys.argv = ['facerefs', '--help']\n"
        "from facerefs.pipeline.cli import app\n"
        "try: app()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'dlib', 'faiss', 'insightface', 'cv2', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    root = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "build" in result.stdout


def test_a_missing_source(tmp_path: Path) -> None:
    refused(facerefs("build", tmp_path / "nowhere", "--out", tmp_path / "out"), "nowhere")
    assert not (tmp_path / "out").exists()


def test_an_empty_source(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(facerefs_here("build", tmp_path / "empty", "--out", tmp_path / "out"), "empty")


def test_a_file_for_a_folder(tmp_path: Path, photos: Path) -> None:
    refused(
        facerefs_here("build", photos / "ann" / "a.png", "--out", tmp_path / "out"),
        "a.png is neither a folder of photos nor a file that we know",
    )
    (tmp_path / "out").write_text("")
    refused(facerefs_here("build", photos, "--out", tmp_path / "out"), "is a file, not a folder")


def test_an_unknown_setting(tmp_path: Path, photos: Path) -> None:
    result = facerefs_here("build", photos, "--out", tmp_path / "out", "--set", "analyse.cropsize=512")
    refused(result, "did you mean `analyse.crop_size`")


def test_unknown_engines_and_labels(tmp_path: Path, photos: Path) -> None:
    refused(
        facerefs_here("build", photos, "--out", tmp_path / "o", "--engines", "opencv"),
        "embedded or insightface",
    )
    refused(
        facerefs_here("build", photos, "--out", tmp_path / "o", "--labels", "believe"), "`cluster.labels`"
    )


def test_bad_yaml(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "c.yaml").write_text("analyse: [")
    refused(
        facerefs_here("build", photos, "--out", tmp_path / "o", "--config", tmp_path / "c.yaml"),
        "not valid YAML",
    )
    refused(
        facerefs_here("build", photos, "--out", tmp_path / "o", "--config", tmp_path / "no.yaml"), "no.yaml"
    )


def test_a_folder_of_something_else(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "taxes").mkdir()
    (tmp_path / "taxes" / "2025.txt").write_text("mine")
    refused(facerefs_here("build", photos, "--out", tmp_path / "taxes"), "holds other files and no build")
    assert [path.name for path in (tmp_path / "taxes").iterdir()] == ["2025.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_that_cannot_be_written(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(facerefs_here("build", photos, "--out", tmp_path / "locked" / "out"), "cannot write")


def test_an_output_on_a_read_only_filesystem(photos: Path) -> None:
    refused(facerefs_here("build", photos, "--out", "/proc/facerefs"), "cannot write")


def test_commands_on_a_folder_without_a_build(tmp_path: Path) -> None:
    for command in ("status", "inspect", "report"):
        refused(facerefs_here(command, tmp_path), "holds no build")


def test_sample_into_a_folder_that_is_there(photos: Path) -> None:
    refused(facerefs_here("sample", photos), "is there already")


@pytest.mark.ray
def test_another_configuration_or_source_in_the_same_folder(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    first = facerefs("build", photos, "--out", out, "--set", "analyse.niqe=false")
    assert first.returncode == 0, first.stderr
    refused(facerefs_here("build", photos, "--out", out), "analyse.niqe: False -> True")
    refused(
        facerefs_here("build", photos / "ann", "--out", out, "--set", "analyse.niqe=false"),
        "holds a build of",
    )
    started = time.monotonic()
    again = facerefs("build", photos, "--out", out, "--set", "analyse.niqe=false")
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout
    assert (
        time.monotonic() - started < 60
    )  # Ray, which takes seconds to start, was not needed; bound is generous
    updated = facerefs("build", photos, "--out", out, "--set", "shard.seed=3", "--update")
    assert updated.returncode == 0, updated.stderr
    assert "changed: shard.seed: 0 -> 3" in updated.stdout
    status = facerefs_here("status", out)
    assert "no face was found" in status.stdout
    assert '"reject": "no_face"' in facerefs_here("inspect", out, "ann/a.png", "--json").stdout
    refused(facerefs_here("inspect", out, "nothing-of-this-name"), "neither a table")


def test_doctor_gives_commands_that_can_be_copied_whole() -> None:
    result = facerefs("doctor")
    assert result.returncode == 0, result.stderr
    lines = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    assert "weights found" in lines["detector dlib"]
    assert "pip install 'facerefs[gpu]'" in lines["faiss-gpu"] or "ok" in lines["faiss-gpu"]
    assert "…" not in result.stdout


def test_the_version() -> None:
    result = facerefs("--version")
    assert (result.returncode, result.stdout) == (0, f"facerefs {version('facerefs')}\n")


def test_a_build_without_a_source(tmp_path: Path) -> None:
    refused(facerefs_here("build", "--out", tmp_path / "out"), "SOURCE is missing")
    (tmp_path / "build.yaml").write_text(f"source: {tmp_path / 'moved'}\nlabels_file: null\nconfig: {{}}\n")
    again = facerefs_here("build", "--config", tmp_path / "build.yaml", "--out", tmp_path / "out")
    refused(again, str(tmp_path / "moved"))  # so it was read


def test_status_for_programs(tmp_path: Path) -> None:
    make_set(tmp_path)
    (tmp_path / "build.yaml").write_text("{}")
    result = facerefs("status", tmp_path, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["tables"]["faces"] | {"bytes": 0} == {"parts": 1, "rows": 16, "bytes": 0}
    assert found["result"]["samples"] == 16
    assert sum(found["result"]["split_people"].values()) == 8
    assert [step["stage"] for step in found["funnel"]][-1] == "shard"
    assert found["is_complete"] is True


def test_verify_for_programs(tmp_path: Path) -> None:
    samples = make_set(tmp_path)
    sound = facerefs("verify", samples, "--json")
    assert sound.returncode == 0, sound.stderr
    assert json.loads(sound.stdout) | {"bytes": 0, "shards": 0} == {
        "is_sound": True,
        "shards": 0,
        "samples": 16,
        "bytes": 0,
        "faults": [],
        "people_in_two_published_splits": [],
        "shots_in_two_splits": None,
    }
    (samples / "photos.csv").unlink()
    faulty = facerefs_here("verify", samples, "--json")
    assert faulty.returncode == 1
    found = json.loads(faulty.stdout)
    assert not found["is_sound"]
    assert found["faults"][0]["file"] == "photos.csv"
