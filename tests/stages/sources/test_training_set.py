"""What facerefs has written, given as a source: ground truth is taken, other pictures of ours are refused."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from facerefs.schemas.manifest import MANIFEST_FILE
from facerefs.schemas.paths import path_of_text
from facerefs.schemas.reject import Reject
from facerefs.stages.sources.registry import default_settings
from facerefs.stages.sources.resolve import open_source
from facerefs.stages.sources.source import PhotoSource, SourceError
from facerefs.stages.web.limits import WebLimits
from tests.pipeline.small_set import Files, files_of, make_set, rewrite

Row = dict[str, Any]
RUN = "model: refine\npreset: tiny\ndata: []\nsettings: {}\n"
BUILD = "source: /photos\nlabels_file: null\nconfig: {}\n"


def opened(place: Path) -> PhotoSource:
    return open_source(str(place), None, default_settings(), WebLimits("facerefs (tests)"))


def rows_of(source: PhotoSource) -> list[Row]:
    rows: list[Row] = pa.concat_tables(source.rows()).to_pylist()
    return rows


def data_of(row: Row) -> bytes:
    with Path(path_of_text(row["photo"]["path"])).open("rb") as file:
        file.seek(row["photo"]["offset"])
        return file.read(row["photo"]["length"])


def stored(samples: Path) -> dict[str, Files]:
    return {key: files for tar in sorted(samples.glob("*.tar")) for key, files in files_of(tar).items()}


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """The samples of a build."""
    samples = make_set(tmp_path / "set")
    (tmp_path / "set/build.yaml").write_text(BUILD)
    return samples


def check(place: Path, files: dict[str, Files]) -> list[Row]:
    """Whether a source has the ground truth of these samples and nothing else, and what the JSON says of it."""
    rows = rows_of(opened(place))
    assert sorted(row["key"] for row in rows) == sorted(f"{key}.gt.jpg" for key in files)
    for row in rows:
        sample = files[row["key"].partition(".")[0]]
        record = json.loads(sample["json"])
        assert data_of(row) == sample["gt.jpg"]
        assert row["label"] == record["identity"]
        for name in ("url", "page", "licence", "attribution"):
            assert row[name] == record["target"][name]
        assert json.loads(row["provenance"])["photo"] == record["target"]["key"]
        assert row["reject"] is row["sha256"] is row["box"] is None
    return rows


def test_of_a_training_set_the_ground_truth_is_taken_with_all_that_is_known_of_it(samples: Path) -> None:
    files = stored(samples)
    assert check(samples.parent, files) == check(samples, files)
    check(samples / "train-00000.tar", files_of(samples / "train-00000.tar"))
    (note,) = opened_notes(samples)
    assert "is a training set of facerefs: its ground truth is taken" in note


def opened_notes(place: Path) -> list[str]:
    source = opened(place)
    list(source.rows())
    return list(source.notes)


def test_copies_of_shards_need_no_manifest(samples: Path, tmp_path: Path) -> None:
    files = stored(samples)
    copy = tmp_path / "copy"
    copy.mkdir()
    for tar in samples.glob("*.tar"):
        shutil.copy(tar, copy)
    (copy / "._train-00000.tar").write_bytes(b"\0\5\x16\7")
    shutil.copy(copy / "train-00000.tar", copy / "train-00000 (1).tar")
    check(copy, files)
    shutil.copytree(samples, tmp_path / "elsewhere" / "samples")  # with its manifest, without the build
    check(tmp_path / "elsewhere", files)


@pytest.mark.parametrize(
    "manifest",
    [
        lambda tree: {"version": 1, "recipe": "gfpgan", "seed": 0, "shards": tree["shards"]},
        lambda tree: tree | {"version": 3, "new": {}},
    ],
    ids=["before", "later"],
)
def test_a_set_of_another_version_is_one_too(manifest: Any, samples: Path) -> None:
    files = stored(samples)
    tree = json.loads((samples / MANIFEST_FILE).read_text())
    (samples / MANIFEST_FILE).write_text(json.dumps(manifest(tree)))
    check(samples, files)


def test_a_shard_that_is_lost_or_damaged_is_a_rejected_row(samples: Path) -> None:
    (samples / "train-00000.tar").unlink()
    damaged = samples / "train-00002.tar"
    damaged.write_bytes(damaged.read_bytes()[:4096])
    rejected = {row["key"]: row for row in rows_of(opened(samples)) if row["reject"] is not None}
    assert set(rejected) == {"train-00000.tar", "train-00002.tar"}
    assert {row["reject"] for row in rejected.values()} == {Reject.BAD_ROW}
    assert "No such file" in rejected["train-00000.tar"]["reject_detail"]
    assert "ends early" in rejected["train-00002.tar"]["reject_detail"]


def test_references_that_are_no_ground_truth_are_counted(samples: Path) -> None:
    def other_reference(row: Row, files: Files) -> None:
        record = json.loads(files["json"])
        record["references"][0]["face"] = "0123456789abcdef-0"
        files["json"] = json.dumps(record).encode()

    rewrite(samples.parent, "train-00000", other_reference)
    assert "1 references are the ground truth of no sample: they are not taken" in opened_notes(samples)


def test_an_unfinished_build_is_refused(samples: Path) -> None:
    (samples / MANIFEST_FILE).unlink()
    for place in (samples, samples.parent):
        with pytest.raises(SourceError, match="without a finished training set: run the same facerefs build"):
            opened(place)


def test_what_else_facerefs_writes_is_refused(samples: Path, tmp_path: Path) -> None:
    build = samples.parent
    run = build / "runs" / "refine"
    (run / "grids").mkdir(parents=True)
    (run / "settings.yaml").write_text(RUN)
    photo = next(iter(stored(samples).values()))["gt.jpg"]
    (run / "grids" / "step-00000100.jpg").write_bytes(photo)
    for place in (run, run / "grids", run / "grids" / "step-00000100.jpg"):
        with pytest.raises(SourceError, match=r"belongs to the training run .*refine: its pictures are no"):
            opened(place)
    for name in ("blobs/faces", "blobs/faces/part-a.tar", "faces", "sources", "samples/train-00000.parquet"):
        with pytest.raises(SourceError, match=r"belongs to the build .*set: give that folder"):
            opened(build / name)
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "1.jpg").write_bytes(photo)
    source = opened(tmp_path)
    assert [row["key"] for table in source.rows() for row in table.to_pylist()] == ["ann/1.jpg"]
    assert next(iter(source.notes)).startswith("left out, since facerefs wrote it: ")
    (tmp_path / "ann" / "ada").mkdir()
    (tmp_path / "ann" / "ada" / "2.jpg").write_bytes(photo)
    shutil.copytree(samples, tmp_path / "ann" / "samples")  # a set in a folder of photos, which is no build
    assert [row["key"] for row in rows_of(opened(tmp_path / "ann"))] == ["1.jpg", "ada/2.jpg"]
    with pytest.raises(SourceError, match=r"holds no photos.*left out, since facerefs wrote it: refine"):
        opened(build / "runs")
    shutil.copy(samples / "train-00000.tar", tmp_path / "ann")
    with pytest.raises(SourceError, match=r"mixes shards of a training set, such as train-00000.tar, with"):
        opened(tmp_path / "ann")


def test_samples_that_were_unpacked_are_refused(samples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "unpacked"
    for tar in samples.glob("*.tar"):
        with tarfile.open(tar) as archive:
            archive.extractall(folder, filter="data")
    with pytest.raises(SourceError, match=r"unpacked holds samples of a training set, .*: give their tars"):
        opened(folder)
    with pytest.raises(SourceError, match=r"holds no photos.*left out, since facerefs wrote it: unpacked"):
        opened(folder.parent)
    for path in folder.glob("*.lq.*"):
        path.unlink()
    assert len(rows_of(opened(folder))) == 2 * len(
        stored(samples)
    )  # ground truth and references: as anybody's photos


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_tars_of_others_stay_what_they_were(tmp_path: Path) -> None:
    files = {"0.jpg": b"photo", "0.json": b'{"name": "Ann"}', "1.left.jpg": b"left", "1.right.jpg": b"right"}
    write_tar(tmp_path / "theirs" / "0.tar", files)
    (tmp_path / "theirs" / "manifest.json").write_text('{"name": "an app", "icons": []}')
    (tmp_path / "theirs" / "settings.yaml").write_text("editor: {}\n")
    (tmp_path / "theirs" / "build.yaml").write_text("steps: []\n")
    rows = rows_of(opened(tmp_path / "theirs"))
    assert [(data_of(row), row["label"]) for row in rows] == [
        (b"photo", "Ann"),
        (b"left", None),
        (b"right", None),
    ]


def test_of_pairs_of_others_the_degraded_half_is_no_photo(tmp_path: Path) -> None:
    files = {f"{key}.{kind}.png": kind.encode() for key in "ab" for kind in ("gt", "lq")}
    rows = rows_of(opened(write_tar(tmp_path / "pairs.tar", files)))
    assert [(row["key"], data_of(row), row["label"]) for row in rows] == [
        ("a.gt.png", b"gt", None),
        ("b.gt.png", b"gt", None),
    ]
