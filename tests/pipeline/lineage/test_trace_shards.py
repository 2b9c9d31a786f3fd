"""trace in a copy of `samples/`: what the shards themselves tell, and what they do not."""

import shutil
from pathlib import Path

import pytest

from facerefs.pipeline.commands.trace import find_trace, trace_command
from facerefs.pipeline.errors import UserError
from tests.pipeline.small_set import face_id, make_set

ONE, TWO = face_id(0, 0), face_id(0, 1)
KEY = "person 0/0.jpg"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shards of a small set, under another name."""
    folder = tmp_path_factory.mktemp("set")
    copied = folder / "copied"
    shutil.copytree(make_set(folder / "build"), copied)
    return copied


def test_a_sample_leads_to_its_photos_and_says_what_is_not_told(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = find_trace(copy, ONE)
    assert (found.asked.kind, found.whole_build) == ("sample", False)
    assert [face.role for face in found.faces] == ["target", "reference 0"]
    assert found.samples[0].theta
    source = found.photos[0].source
    assert source is not None
    assert (source["licence"], source["url"], source["label"]) == (
        "CC0",
        "https://a.example/1.jpg",
        "person 0",
    )
    trace_command(copy, ONE, None, 20, as_json=False)
    text = capsys.readouterr().out
    assert "is a folder of shards: only what these tell" in text
    assert "not told    fetch decisions" in text


@pytest.mark.parametrize(
    ("text", "kind"),
    [(ONE, "face"), (KEY, "photo"), (ONE[:16].ljust(64, "0"), "sha256"), ("person 0", "person")],
)
def test_a_photo_leads_to_every_sample_that_uses_it(copy: Path, text: str, kind: str) -> None:
    found = find_trace(copy, text, kind)
    roles = {(use.sample, use.role) for use in found.forward.uses if use.face == ONE}
    assert roles == {(ONE, "target"), (TWO, "reference")}


def test_a_url_of_many_photos_leads_to_all(copy: Path) -> None:
    assert len(find_trace(copy, "https://a.example/1").photos) == 16


def test_what_is_in_no_sample_is_said(copy: Path) -> None:
    with pytest.raises(UserError, match=r"is in no sample .*searched.*near it: person \d"):
        find_trace(copy, "person")


def test_a_damaged_tar_is_said_and_the_index_still_tells(copy: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(copy, damaged)
    for tar in damaged.glob("*.tar"):
        tar.write_bytes(b"x" * tar.stat().st_size)
    found = find_trace(damaged, ONE)
    assert found.samples[0].row["references"] == [TWO]
    assert any("cannot be read" in sentence for sentence in found.untold)
    with pytest.raises(UserError, match="16 samples cannot be read"):
        find_trace(damaged, KEY)


def test_a_folder_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no training set"):
        find_trace(tmp_path, ONE)
