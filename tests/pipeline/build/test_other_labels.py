"""Other names and licences for the same photos: what depends on them is redone, nothing else, nothing is left stale."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from facerefs.pipeline.commands.build import BuildOptions, build_command
from facerefs.pipeline.storage.tar import read_members
from facerefs.stages.synthetic_people.folder import write_people
from tests.pipeline.folders import contents

SETTINGS = ("rows_per_part=4", "shard.shard_mb=0.5", "shard.val_share=0.3", "analyse.niqe=false")
ADA = "Ada Lovelace"
LICENCE = "CC BY-SA 4.0"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_for_two")]

Photos = dict[str, bytes]
Write = Callable[[Path, Photos, dict[str, str], dict[str, str]], tuple[Path, Path | None]]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    """Of four people, by names that begin with the person's."""
    folder = tmp_path_factory.mktemp("people")
    list(write_people(folder, identities=4, per_identity=4, size_px=400, seed=3))
    return {f"{path.parent.name}-{path.name}": path.read_bytes() for path in sorted(folder.glob("*/*.jpg"))}


def flat_folder(
    place: Path, photos: Photos, names: dict[str, str], _: dict[str, str]
) -> tuple[Path, Path | None]:
    """A flat folder, and its identity file."""
    (place / "photos").mkdir(exist_ok=True)
    for name, data in photos.items():
        if not (place / "photos" / name).exists():
            (place / "photos" / name).write_bytes(data)
    (place / "names.txt").write_text("".join(f"{photo}\t{name}\n" for photo, name in names.items()))
    return place / "photos", place / "names.txt"


def parquet(
    place: Path, photos: Photos, names: dict[str, str], licences: dict[str, str]
) -> tuple[Path, Path | None]:
    """A file that holds the photos, their names and licences."""
    rows = [
        {"image": {"bytes": data, "path": photo}, "name": names[photo], "licence": licences[photo]}
        for photo, data in photos.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows), place / "photos.parquet")
    return place / "photos.parquet", None


def build(source: tuple[Path, Path | None], out: Path) -> dict[str, str]:
    """Build; returns the first line of each stage, by its name."""
    photos, labels_file = source
    printed = io.StringIO()
    options = BuildOptions(str(photos), out, labels_file=labels_file, settings=SETTINGS)
    build_command(options, Console(file=printed, soft_wrap=True, markup=False))
    said = [line.split(maxsplit=1) for line in printed.getvalue().splitlines() if line.strip()]
    return {words[0]: words[1] for words in reversed(said) if len(words) == 2}


def times(out: Path, table: str) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / table).iterdir()}


def described(out: Path) -> dict[str, dict[str, object]]:
    """What the JSON of each sample says of its target, by the key of the photo."""
    targets = [
        json.loads(data)["target"]
        for shard in (out / "samples").glob("*.tar")
        for name, data in read_members(shard.read_bytes()).items()
        if name.endswith(".json")
    ]
    return {str(target["key"]).rpartition("/")[2]: target for target in targets}


@pytest.mark.parametrize("write", [flat_folder, parquet])
def test_other_names_and_licences_end_as_a_new_build_and_analyse_nothing(
    write: Write, photos: Photos, tmp_path: Path
) -> None:
    out, new = tmp_path / "build", tmp_path / "new"
    names = {photo: photo.rpartition("-")[0] for photo in photos}
    licences = dict.fromkeys(photos, "CC0")
    build(write(tmp_path, photos, names, licences), out)
    before = {table: times(out, table) for table in ("images", "faces", "copies", "samples")}

    renamed, relicensed = sorted(described(out))[3], sorted(described(out))[9]
    source = write(
        tmp_path,
        photos,
        names | {renamed: ADA},
        licences | ({relicensed: LICENCE} if write is parquet else {}),
    )
    said = build(source, out)
    for stage in ("crawl", "analyse", "compare"):
        assert said[stage].startswith("nothing to do"), (stage, said[stage])
    for stage in ("label", "cluster", "shard"):
        assert not said[stage].startswith("nothing to do"), (stage, said[stage])
    after = {table: times(out, table) for table in before}
    for table in ("images", "faces", "copies"):
        assert after[table] == before[table], table
    kept = [name for name, ns in before["samples"].items() if after["samples"].get(name) == ns]
    assert any(name.endswith(".tar") for name in kept)

    assert described(out)[renamed]["label"] == ADA
    listed = (out / "samples" / "photos.csv").read_text()
    assert ADA in listed
    if write is parquet:
        assert described(out)[relicensed]["licence"] == LICENCE
        assert LICENCE in listed
    build(source, new)
    one, other = contents(out), contents(new)
    assert [name for name in one | other if one.get(name) != other.get(name) and name != ".lock"] == []
