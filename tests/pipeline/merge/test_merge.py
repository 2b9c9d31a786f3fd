"""A merged build is the build of both sources at once: the same samples, byte by byte."""

import io
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from facerefs.pipeline.commands.build import BuildOptions, build_command
from facerefs.pipeline.commands.merge import MergeOptions, merge_command
from facerefs.stages.synthetic_people.folder import write_people
from tests.pipeline.folders import contents
from tests.pipeline.merge.toy_build import write_photos

pytestmark = pytest.mark.slow

SETTINGS = (
    "analyse.niqe=false",
    "analyse.min_face_px=100",
    "analyse.detect_side_px=400",
    "shard.val_share=0.5",
)


def merge(out: Path, *builds: Path) -> list[str]:
    """Merge builds; returns the lines that were printed."""
    printed = Console(file=io.StringIO(), soft_wrap=True, markup=False)
    merge_command(MergeOptions(tuple(map(str, builds)), out), printed)
    assert isinstance(printed.file, io.StringIO)
    return printed.file.getvalue().splitlines()


def tars(out: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(out / "samples").items() if name.endswith(".tar")}


def test_the_samples_of_a_merged_build_are_those_of_one_build_of_all_photos(tmp_path: Path) -> None:
    photos = list(write_people(tmp_path / "people", identities=2, per_identity=2, size_px=400, seed=3))
    copy = io.BytesIO()
    Image.open(photos[0]).resize((320, 320)).save(copy, "JPEG", quality=90)
    halves = [
        {f"{photo.parent.name}/{photo.name}": photo.read_bytes() for photo in photos[number::2]}
        for number in (0, 1)
    ]
    halves[1][f"{photos[0].parent.name}/copy.jpg"] = copy.getvalue()  # of a photo in the other half
    for name, some in (("a", halves[0]), ("b", halves[1]), ("both", halves[0] | halves[1])):
        write_photos(tmp_path / f"photos-{name}", some)
        options = BuildOptions(str(tmp_path / f"photos-{name}"), tmp_path / name, settings=SETTINGS)
        build_command(options, Console(quiet=True))

    builds, out = (tmp_path / "a", tmp_path / "b"), tmp_path / "out"
    before = [contents(place) for place in builds]
    lines = merge(out, *builds)
    assert [contents(place) for place in builds] == before
    assert tars(out) == tars(tmp_path / "both")
    assert f"merged      {builds[0]}: 2 photos taken over" in lines
    assert f"merged      {builds[1]}: 3 photos taken over" in lines
    assert not any("analysed again" in line for line in lines)
    assert any(line.startswith("analyse     nothing to do") for line in lines)
    assert any(
        line.startswith("result      4 samples of 2 people from 5 photos; 1 photo lost") for line in lines
    )

    first = contents(out)
    lines = merge(out, *builds)
    assert contents(out) == first
    stages = [line for line in lines if line.split()[0] in ("photos", "faces", "dedupe", "cluster", "shard")]
    assert len(stages) == 5
    assert all("nothing to do" in line for line in stages)
