"""The runner on real Ray: parts are done once, in any number of workers, with the same bytes."""

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from facerefs.pipeline.build.listing import list_source
from facerefs.pipeline.errors import RunError
from facerefs.pipeline.runner.runner import Runner, bounded_slices
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import SOURCES
from tests.pipeline.folders import contents, folder_rows
from tests.pipeline.runner.toy import Die, Listed, Measure

pytestmark = pytest.mark.usefixtures("ray_for_two")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i:03d}.bin").write_bytes(bytes([i]) * i)  # the first one is empty
    return folder


def run(
    out: Path | str,
    files: Path,
    workers: int = 2,
    stage: Measure | None = None,
    address: str | None = None,
) -> str:
    storage = Storage.at(out)
    console = Console(record=True, width=200, file=io.StringIO())
    list_source([folder_rows(files)], 8, storage, console)
    Runner(storage, console, RayWorkers(workers, address, is_count_given=address is None)).run_parts(
        stage or Measure(), Listed(storage)
    )
    return console.export_text()


def test_rows_bytes_and_rejects_are_written(tmp_path: Path, files: Path) -> None:
    run(tmp_path / "out", files)
    storage = Storage(str(tmp_path / "out"))
    rows = {row["key"]: row for row in storage.scan("images").to_pylist()}
    assert len(rows) == 40
    assert rows["000.bin"]["reject"] == "empty"
    assert storage.read_blob(**rows["017.bin"]["photo"]) == bytes([17]) * 17


def test_one_and_two_workers_write_the_same_bytes(tmp_path: Path, files: Path) -> None:
    run(tmp_path / "one", files, workers=1)
    run(tmp_path / "two", files, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_rerun_does_nothing_and_a_new_file_redoes_one_part(tmp_path: Path, files: Path) -> None:
    out = tmp_path / "out"
    run(out, files)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("images/*")}
    assert "nothing to do" in run(out, files)
    (files / "0205.bin").write_bytes(b"new")
    run(out, files)
    kept = [path for path, time_ns in before.items() if path.exists() and path.stat().st_mtime_ns == time_ns]
    assert len(before) - len(kept) == 2  # one part is replaced: its Parquet file and its tar
    assert len(Storage(str(out)).scan("images")) == 41
    run(tmp_path / "fresh", files)
    assert contents(out) == contents(tmp_path / "fresh")


def test_before_work_is_called_once_if_there_is_work_and_else_not(tmp_path: Path, files: Path) -> None:
    run(tmp_path, files)
    storage, console = Storage(str(tmp_path)), Console(file=io.StringIO())
    inputs, seen = Listed(storage), list[list[str]]()
    runner = Runner(storage, console, RayWorkers(1))
    before = storage.parts("images")
    runner.run_parts(Measure(), inputs, lambda: seen.append(storage.parts("images")))
    assert seen == []
    storage.remove_part("sources", before[0])
    runner.run_parts(Measure(), inputs, lambda: seen.append(storage.parts("images")))
    assert seen == [before]
    assert storage.parts("images") == before[1:]
    with pytest.raises(RunError):
        runner.run_parts(Measure(format="broken"), inputs, lambda: seen.append(storage.parts("images")))
    assert seen == [before, before[1:]]


def test_another_configuration_is_noticed(tmp_path: Path, files: Path) -> None:
    run(tmp_path / "out", files)
    said = run(tmp_path / "out", files, stage=Measure(format="other"))
    assert "redone" in said
    assert set(Storage(str(tmp_path / "out")).scan("images").column("format").to_pylist()) == {"other"}


def test_a_fault_in_a_stage_ends_the_run_with_its_cause(tmp_path: Path, files: Path) -> None:
    with pytest.raises(RunError, match="this stage has a fault"):
        run(tmp_path / "out", files, stage=Measure(format="broken"))
    assert Storage(str(tmp_path / "out")).parts("images") == []
    assert not [name for name in contents(tmp_path / "out") if ".tmp-" in name]


def test_killed_and_run_again_gives_the_same_bytes(tmp_path: Path, files: Path) -> None:
    run(tmp_path / "undisturbed", files)
    script = (
        "from pathlib import Path; from tests.pipeline.runner.test_runner import run;"
        f"run(Path({str(tmp_path / 'killed')!r}), Path({str(files)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[3])
    deadline = time.monotonic() + 60
    while not Storage(str(tmp_path / "killed")).parts("images") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    Storage(str(tmp_path / "killed")).clear_temporary()
    run(tmp_path / "killed", files)
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def test_pieces_hold_few_bytes_unless_one_row_has_more() -> None:
    lengths = [100 << 20, 100 << 20, 100 << 20, 300 << 20, 1]
    photos = [{"path": "/x", "offset": 0, "length": length} for length in lengths]
    keys = [str(i) for i in range(5)]
    rows = SOURCES.empty_table().from_pydict(
        {name: [None] * 5 for name in SOURCES.names} | {"key": keys, "photo": photos}, schema=SOURCES
    )
    assert [len(piece) for piece in bounded_slices(rows, ("photo",))] == [2, 1, 1, 1]


def test_a_worker_that_dies_ends_the_run(tmp_path: Path, files: Path) -> None:
    with pytest.raises(RunError, match=r"3 workers were lost while making part .* \(it crashed"):
        run(tmp_path / "out", files, stage=Die())
