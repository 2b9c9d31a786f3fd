"""Commands that write to this machine refuse addresses, of which a path would make a folder `s3:`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from facerefs.pipeline.build.folder import check_new
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.local_path import check_local
from facerefs.pipeline.restoring.files import Wanted, plan_files
from facerefs.pipeline.training.job import TrainOptions
from facerefs.pipeline.training.train import train_command


def start_training(run: Path) -> object:
    return train_command(TrainOptions("refine", data=("set",), run=run), Console())


def restore(out: Path) -> object:
    return plan_files([Path("photo.jpg")], out, Wanted(), ())


@pytest.mark.parametrize("write", [check_new, restore, start_training])
def test_an_address_is_no_folder(
    write: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("s3://bucket/out", "gs://bucket/out", "S3:/bucket"):
        with pytest.raises(UserError, match=r"cannot be an address \(.*: choose a local folder"):
            write(Path(address))
    assert list(tmp_path.iterdir()) == []


def test_paths_are_local() -> None:
    for path in ("out", "/tmp/a:b/c", "file:/tmp/out", "a:b"):
        check_local(Path(path), "--out")
