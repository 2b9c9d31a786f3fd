"""What a user does wrong with a stream, and is told."""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.samples.pixels import decode_rgb
from facerefs.trainers.stream.stream import Source, Stream
from tests.trainers.small_shards import Prepared, collate, prepare, write_set


def _stream(place: Path, **settings: Any) -> Stream[Any, Any]:
    source = Source(place, weight=settings.pop("weight", 1.0))
    return Stream(
        [source], **{"batch_size": 4, "prepare": prepare, "collate": collate, "workers": 0} | settings
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state | {"samples": 10**30},
        lambda state: {"manifest": state["manifest"]},
        lambda state: {"samples": 4},
        lambda state: {},
        lambda state: None,
        lambda state: [4, state["manifest"]],
        lambda state: state | {"samples": True},
        lambda state: state | {"samples": 4.0},
        lambda state: state | {"manifest": None},
    ],
)
def test_what_is_no_state_is_refused_in_a_sentence(tmp_path: Path, spoil: Any) -> None:
    stream = _stream(write_set(tmp_path))
    with pytest.raises(StreamError):
        stream.load_state_dict(spoil(dict(stream.state_dict())))


def test_a_weight_of_two_is_a_weight_of_two(tmp_path: Path) -> None:
    write_set(tmp_path)
    assert _stream(tmp_path, weight=2).manifest == _stream(tmp_path, weight=2.0).manifest


def test_what_cannot_be_sent_to_workers_is_said_in_a_sentence(tmp_path: Path) -> None:
    def local(draw: SampleRequest, files: Mapping[str, bytes]) -> Prepared:
        return prepare(draw, files)

    with pytest.raises(StreamError, match="pickle"):
        next(_stream(write_set(tmp_path), prepare=local, workers=1))


def test_workers_that_cannot_start_are_no_matter_of_memory(tmp_path: Path) -> None:
    """As when prepare stands in a notebook, in `python -c` or in a script without its `if __name__` line."""
    code = f"""
from facerefs.trainers.stream.stream import Source, Stream
def prepare(draw, files):
    return files.key
next(Stream([Source({str(write_set(tmp_path))!r})], 4, prepare, list, workers=1))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert "if __name__" in run.stderr.splitlines()[-1]


def test_jpegs_are_read_without_simplejpeg_or_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 100, 50)).save(buffer, "JPEG")
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    try:
        shape = decode_rgb("gt.jpg", buffer.getvalue()).shape
    except StreamError:  # which says what to install
        return
    assert shape == (8, 8, 3)


def test_a_corrupt_png_is_not_announced_by_opencv_as_well() -> None:
    code = """
import io, sys
from PIL import Image
from facerefs.trainers.stream.errors import BadSample
from facerefs.trainers.stream.samples.pixels import decode_rgb
buffer = io.BytesIO()
Image.effect_noise((64, 64), 50).convert("RGB").save(buffer, "PNG")
try:
    decode_rgb("gt.png", buffer.getvalue()[:2000])
except BadSample:
    print("bad")
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=dict(os.environ),
    )
    assert (run.stdout, run.stderr) == ("bad\n", "")


def test_sources_that_are_none_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="Source"):
        Stream([str(write_set(tmp_path))], 4, prepare, collate)  # type: ignore[list-item]


def test_a_few_batches_have_the_state_of_their_stream(tmp_path: Path) -> None:
    stream = _stream(write_set(tmp_path))
    few = stream.batches(3)
    assert [few.state_dict()["samples"] for _ in few] == [4, 8, 12]
    assert stream.state_dict() == few.state_dict()
