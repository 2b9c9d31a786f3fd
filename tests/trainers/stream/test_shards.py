"""Opening sets of shards: ours by their index, anybody's by a walk over the headers; what does not fit is refused."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from facerefs.trainers.stream.errors import BadSample, StreamError
from facerefs.trainers.stream.shards.reader import ShardReader
from facerefs.trainers.stream.shards.shards import ShardSet, open_shards
from tests.trainers.small_shards import (
    files_of,
    flip_a_byte,
    replace_index,
    write_manifest,
    write_set,
    write_shard,
)


def _contents(shards: ShardSet) -> dict[str, dict[str, bytes]]:
    reader = ShardReader([shards])
    return {shards.key(row): dict(reader.files(0, row)) for row in range(len(shards))}


def test_a_build_is_read_through_its_index(tmp_path: Path) -> None:
    shards = open_shards(write_set(tmp_path / "samples"), "train")
    assert len(shards) == 21
    assert _contents(shards) == {shards.key(row): files_of(shards.key(row)) for row in range(21)}
    codes = shards.columns.identities
    assert codes is not None
    assert sorted(set(codes.tolist())) == list(range(codes.max() + 1))


def test_a_bare_folder_of_tars_is_the_same_set(tmp_path: Path) -> None:
    ours = open_shards(write_set(tmp_path))
    (tmp_path / "manifest.json").unlink()
    bare = open_shards(tmp_path, "train")
    for name in ("keys", "offsets", "lengths"):
        assert np.array_equal(getattr(ours.columns, name), getattr(bare.columns, name))
    assert bare.columns.identities is None
    assert bare.digest == open_shards(tmp_path, "train").digest != ours.digest
    with pytest.raises(StreamError, match=r"no manifest.json and no val-\*.tar"):
        open_shards(tmp_path, "val")


def test_the_digest_is_that_of_the_shards_and_of_nothing_else(tmp_path: Path) -> None:
    one, two = open_shards(write_set(tmp_path / "a")), open_shards(write_set(tmp_path / "b"))
    assert one.digest == two.digest
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest | {"new": 1}))
    assert open_shards(tmp_path / "b").digest == one.digest
    assert open_shards(write_set(tmp_path / "c", samples=8)).digest != one.digest


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "train-00001.tar").unlink(), "train-00001.tar is not there"),
        (lambda folder: os.truncate(folder / "train-00001.tar", 4096), "has 4096 bytes and not"),
        (lambda folder: (folder / "train-00001.parquet").unlink(), "train-00001.parquet is not there"),
        (
            lambda folder: flip_a_byte(folder / "train-00001.parquet"),
            "is no index of train-00001.tar .its SHA-256 is not the one in the manifest",
        ),
        (
            lambda folder: replace_index(folder, 1, b"PAR1"),
            "is no index of train-00001.tar",
        ),
        (
            lambda folder: replace_index(folder, 1, (folder / "train-00000.parquet").read_bytes()),
            "refers to samples/train-00000.tar",
        ),
        (lambda folder: (folder / "manifest.json").write_text("[" * 10**5), "no manifest of ours"),
        (lambda folder: write_manifest(folder, []), "no samples of split 'train', it has nothing"),
        (lambda folder: write_manifest(folder, [{"name": "../x.tar"}]), "no manifest of ours"),
        (
            lambda folder: write_manifest(folder, [write_shard(folder, "val-00000", ["a", "b"], ["x", "y"])]),
            "no samples of split 'train', it has val",
        ),
        (
            lambda folder: write_manifest(
                folder, [write_shard(folder, "train-00000", ["a", "b"], ["x", "y"]) | {"samples": 3}]
            ),
            "2 samples, the manifest says 3",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_in_a_sentence(tmp_path: Path, spoil, sentence: str) -> None:  # type: ignore[no-untyped-def]
    spoil(write_set(tmp_path))
    with pytest.raises(StreamError, match=sentence) as caught:
        open_shards(tmp_path, "train")
    assert "\n" not in str(caught.value)


def test_a_pipe_in_place_of_a_shard_is_not_waited_for(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "train-00001.tar").unlink()
    os.mkfifo(tmp_path / "train-00001.tar")
    with pytest.raises(StreamError, match="is no file"):
        open_shards(tmp_path)
    with pytest.raises(StreamError, match="there is no folder"):
        open_shards(tmp_path / "elsewhere")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_others_are_read_as_the_standard_library_reads_them(tmp_path: Path, form: int) -> None:
    long = "folder/" * (12 if form == tarfile.USTAR_FORMAT else 30)
    names = ["a.jpg", "a.seg.png", "é.jpg", f"{long}b.jpg", f"{long}b.json", "c.txt", ".hidden", "d/e"]
    with tarfile.open(tmp_path / "x.tar", "w", format=form) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name) * 100
            archive.addfile(info, io.BytesIO(name.encode()[:1] * info.size))
        link = tarfile.TarInfo("c.link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    found = _contents(open_shards(tmp_path))
    flat = {
        f"{key}.{name}".removesuffix("."): data
        for key, files in found.items()
        for name, data in files.items()
    }
    assert flat == {name: name.encode()[:1] * len(name) * 100 for name in names if name != ".hidden"}
    assert list(found["a"]) == ["jpg", "seg.png"]


LITTER = {  # what macOS, browsers and downloads leave beside the shards
    "._train-00000.tar": b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(4096),
    "._manifest.json": b"\0\5\x16\7",
    ".DS_Store": b"\0\0\0\1Bud1",
    "Icon\r": b"",
    "train-00001.tar.tmp": b"half",
    "train-00001.tar.part": b"half",
    "train-00001.tar.crdownload": b"half",
}


@pytest.mark.parametrize("has_manifest", [True, False])
def test_what_others_leave_beside_the_shards_changes_nothing(has_manifest: bool, tmp_path: Path) -> None:
    write_set(tmp_path)
    if not has_manifest:
        (tmp_path / "manifest.json").unlink()
    clean = open_shards(tmp_path)
    for name, data in LITTER.items():
        (tmp_path / name).write_bytes(data)
    assert open_shards(tmp_path).digest == clean.digest
    assert _contents(open_shards(tmp_path)) == _contents(clean)


@pytest.mark.parametrize("name", ["train-00000 (1).tar", "train-00000 copy 2.tar", "train-00000 - Copy.tar"])
def test_a_second_copy_of_a_tar_does_not_give_its_samples_twice(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_set(tmp_path)
    (tmp_path / "manifest.json").unlink()
    clean = open_shards(tmp_path)
    shutil.copy(tmp_path / "train-00000.tar", tmp_path / name)
    assert open_shards(tmp_path).digest == clean.digest
    assert f"1 second copies of tars are left out: {name}" in caplog.text
    (tmp_path / "train-00000.tar").unlink()  # then it is the only one
    assert len(open_shards(tmp_path)) == len(clean)


def test_a_hidden_file_between_two_files_of_a_sample_does_not_part_them(tmp_path: Path) -> None:
    """As tar on macOS writes it: the attributes of each file before the file."""
    names = [
        "./._a.jpg",
        "./a.jpg",
        "./._a.json",
        "./a.json",
        "./._b.jpg",
        "./b.jpg",
        "./._b.json",
        "./b.json",
    ]
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    expected = {key: {kind: f"{key}.{kind}".encode() for kind in ("jpg", "json")} for key in ("./a", "./b")}
    assert _contents(open_shards(tmp_path)) == expected


def test_what_stands_before_the_break_of_a_tar_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_set(tmp_path, shards=1)
    (tmp_path / "manifest.json").unlink()
    whole = open_shards(tmp_path)
    os.truncate(tmp_path / "train-00000.tar", int(whole.columns.offsets[4]) + 100)
    assert len(open_shards(tmp_path)) == 4
    assert "ends early" in caplog.text
    os.truncate(tmp_path / "train-00000.tar", 100)
    with pytest.raises(StreamError, match="ends early"):
        open_shards(tmp_path)


def test_damage_within_a_sample_makes_it_a_bad_one(tmp_path: Path) -> None:
    shards = open_shards(write_set(tmp_path, shards=1))
    path = tmp_path / "train-00000.tar"
    data = bytearray(path.read_bytes())
    data[int(shards.columns.offsets[1]) + 3] ^= 1  # in a header, whose sum is then wrong
    start, length = int(shards.columns.offsets[2]), int(shards.columns.lengths[2])
    data[start : start + length] = data[: int(shards.columns.lengths[0])]  # the bytes of another sample
    path.write_bytes(data)
    reader = ShardReader([shards])
    assert dict(reader.files(0, 0)) == files_of(shards.key(0))
    with pytest.raises(BadSample, match="there is no header at byte"):
        reader.files(0, 1)
    with pytest.raises(BadSample, match="its place in the shard holds"):
        reader.files(0, 2)
    os.truncate(path, int(shards.columns.offsets[5]) + 530)
    with pytest.raises(BadSample, match="it ends early"):
        reader.files(0, 5)  # of a shard that was open before
    with pytest.raises(StreamError, match="bytes and not"):
        ShardReader([shards]).files(0, 5)


def test_a_sample_costs_bytes_and_no_object(tmp_path: Path) -> None:
    keys = [f"{number:016x}-0" for number in range(1000)]
    write_manifest(
        tmp_path, [write_shard(tmp_path, "train-00000", keys, [f"p{i % 50}" for i in range(1000)])]
    )
    shards = open_shards(tmp_path)
    columns = shards.columns
    arrays = [columns.keys, columns.offsets, columns.lengths, columns.identities, shards.shard]
    assert sum(array.nbytes for array in arrays if array is not None) < 50 * len(shards)


def test_the_stream_needs_neither_ray_nor_engines_nor_the_pipeline(tmp_path: Path) -> None:
    write_set(tmp_path)
    code = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("ray", "dlib", "insightface", "faiss", "pipeline", "cv2", "basicsr"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocker())
from facerefs.trainers.stream.stream import Source, Stream
keys = lambda draw, files: files.key
stream = Stream([Source({str(tmp_path)!r})], 4, keys, list, workers=0)
print(sum(len(set(batch)) for batch in stream.batches(5)))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.stdout.strip() == "20", run.stderr


def test_a_file_that_is_not_there_makes_a_bad_sample(tmp_path: Path) -> None:
    files = ShardReader([open_shards(write_set(tmp_path))]).files(0, 0)
    with pytest.raises(BadSample, match=r"^it has no file 'jpg'; it has gt\.png, json$"):
        files["jpg"]
    assert files.get("jpg") is None


@pytest.mark.parametrize(
    ("place", "split", "sentence"),
    [
        ("", "train", r"no train-\*.tar, but 3 other tars: give split None to take them all"),
        ("..", "train", r"no train-\*.tar: give .*samples$"),
    ],
)
def test_the_folder_that_was_meant_is_named(tmp_path: Path, place: str, split: str, sentence: str) -> None:
    folder = write_set(tmp_path / "samples")
    if not place:
        (folder / "manifest.json").unlink()
        for path in folder.glob("*.tar"):
            path.rename(path.with_name(path.name.replace("train", "faces")))
    with pytest.raises(StreamError, match=sentence):
        open_shards(folder / place, split)


def test_a_name_without_a_file_is_no_shard(tmp_path: Path) -> None:
    (write_set(tmp_path) / "manifest.json").unlink()
    (tmp_path / "train-00009.tar").symlink_to(tmp_path / "gone")
    with pytest.raises(StreamError, match=r"train-00009\.tar is not there"):
        open_shards(tmp_path)
