"""`facerefs verify` finds what is wrong with a training set, and others read it without any code of ours."""

import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.verify.sample import sample_faults
from facerefs.pipeline.verify.verify import Fault, manifest_of, samples_in, verify
from facerefs.schemas.manifest import Manifest, parse, written
from facerefs.stages.images.encode import ImageFormat, decode_image, encode_mask
from tests.pipeline.commands.test_cli import facerefs
from tests.pipeline.small_set import SIZE_PX, SMALL, Files, files_of, make_set, rewrite

Change = Callable[[dict[str, Any], Files], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build's folder; tests change copies of it."""
    folder = tmp_path_factory.mktemp("sound") / "build"
    make_set(folder)
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "build"))


def check(folder: Path, replay: int = 0) -> list[str]:
    """The faults as lines; what each shard told on the way has to agree with them."""
    samples = samples_in(folder)
    manifest = manifest_of(samples)
    if isinstance(manifest, Fault):
        return [manifest.line()]
    told: list[tuple[int, int]] = []
    faults = verify(samples, manifest, replay, lambda *of_shard: told.append(of_shard)).faults
    assert [count for count, _ in told] == [shard.samples for shard in manifest.shards]
    assert sum(count for _, count in told) <= len(faults)
    return [fault.line() for fault in faults]


def a_shard(folder: Path) -> Path:
    return sorted((folder / "samples").glob("train-*.tar"))[0]


def manifest(folder: Path) -> Manifest:
    return parse((folder / "samples/manifest.json").read_bytes())


def test_a_sound_set_is_sound_also_as_a_copy_of_its_samples(folder: Path, tmp_path: Path) -> None:
    assert len(manifest(folder).shards) >= 3
    assert {shard.split for shard in manifest(folder).shards} == {"train", "val", "test"}
    assert check(folder, replay=3) == []
    copy = shutil.copytree(folder / "samples", tmp_path / "copy")
    assert check(copy, replay=1) == []


@settings(max_examples=40)
@given(st.data())
def test_a_flipped_bit_anywhere_is_found(sound: Path, data: st.DataObject) -> None:
    paths = sorted(path for path in (sound / "samples").iterdir() if path.name != "README.md")
    path = data.draw(st.sampled_from(paths))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        path.write_bytes(damaged)
        assert any(line.startswith(path.name) for line in check(sound))
    finally:
        path.write_bytes(whole)


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build whose faces have masks, with one shard."""
    folder = tmp_path_factory.mktemp("masked") / "build"
    make_set(folder, replace(SMALL, val_share=0, test_share=0, shard_mb=1), people=2, masks=True)
    return folder


def say_another_parser(row: dict[str, Any], files: Files) -> None:
    said = json.loads(files["json"])
    said["references"][0]["parser"] = "somebody"
    files["json"] = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def gray(values: Any) -> bytes:
    return encode_mask(np.asarray(values, np.uint8))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda row, files: files.pop("mask0.png"), "should hold gt, json, lq, mask, mask0, ref0"),
        (lambda row, files: files.update({"mask1.png": files["mask.png"]}), "mask1.png.* and should hold"),
        (lambda row, files: files.update({"mask.png": gray(np.zeros((9, 9)))}), "has 9 x 9 px, and its face 64"),
        (lambda row, files: files.update({"mask.png": gray(np.full((64, 64), 7))}), "other values than 0 and 255"),
        (lambda row, files: files.update({"mask.png": gray(np.zeros((64, 64, 3)))}), "is of mode RGB"),
        (lambda row, files: files.update({"mask0.png": files["mask0.png"][:60]}), "mask0.png that cannot be"),
        (say_another_parser, "'somebody' made a mask, of which the manifest says nothing"),
    ],
)  # fmt: skip
def test_a_mask_that_does_not_fit_is_found(masked: Path, tmp_path: Path, change: Change, why: str) -> None:
    assert manifest(masked).parsers == ("hull", "toy")
    assert check(masked, replay=2) == []
    folder = Path(shutil.copytree(masked, tmp_path / "build"))
    rewrite(folder, "train-00000", change)
    (line,) = check(folder)
    assert re.search(why, line)


def test_masks_of_which_the_manifest_says_nothing_are_found(folder: Path) -> None:
    assert "parsers" not in json.loads((folder / "samples/manifest.json").read_text())
    rewrite(
        folder, a_shard(folder).stem, lambda row, files: files.update({"mask.png": gray(np.zeros((64, 64)))})
    )
    (line,) = check(folder)
    assert "mask.png" in line
    assert line.split(";")[0].endswith("should hold gt, json, lq, ref0")


@pytest.mark.parametrize("name", ["train-00000.tar", "val-00000.parquet", "photos.csv", "croissant.json"])
def test_a_missing_file_is_found(folder: Path, name: str) -> None:
    (folder / "samples" / name).unlink()
    assert f"{name}: is not there" in check(folder)[0]


def test_a_truncated_shard_is_found(folder: Path) -> None:
    path = a_shard(folder)
    path.write_bytes(path.read_bytes()[:-1024])
    (line,) = check(folder)
    size = path.stat().st_size
    assert line.startswith(f"{path.name}: has {size} bytes and should have {size + 1024}: cut short")


def test_a_shard_of_another_build_is_found(folder: Path, tmp_path: Path) -> None:
    other = make_set(tmp_path / "other", replace(SMALL, seed=1), people=4)
    name = next(
        path.name for path in sorted(other.glob("*.tar")) if (folder / "samples" / path.name).exists()
    )
    shutil.copy(other / name, folder / "samples")
    (line,) = check(folder)
    assert line.startswith(f"{name}: has ")
    assert "of another build" in line
    index = Path(name).with_suffix(".parquet").name
    shutil.copy(other / index, folder / "samples")
    tar_line = next(line for line in check(folder) if line.startswith(name))
    assert "is whole, but of another build" in tar_line


def test_what_macos_leaves_is_no_fault(folder: Path) -> None:
    for name in ("._train-00000.tar", "._train-00000.parquet", "._manifest.json", ".DS_Store", "Icon\r"):
        (folder / "samples" / name).write_bytes(b"\0\5\x16\7")
    (folder / "._train-00000.tar").write_bytes(b"\0\5\x16\7")
    assert check(folder) == []


@pytest.mark.parametrize("name", ["train-00099.tar", "mine.parquet", "train-00000 (1).tar"])
def test_a_file_of_nobody_is_found(folder: Path, name: str) -> None:
    shutil.copy(a_shard(folder), folder / "samples" / name)
    (line,) = check(folder)
    assert line == f"{name}: is not in the manifest: it is of another build; remove it"


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.update(seed=7),
        lambda tree: tree.update(shards=tree["shards"][1:]),
        lambda tree: tree["shards"][0].update(sha256="0" * 64),
        lambda tree: tree["shards"][0].update(name="../../etc/passwd"),
        lambda tree: tree["shards"][0].update(bytes=True),
        lambda tree: tree.update(more=1),
        lambda tree: tree.pop("fingerprint"),
    ],
)
def test_a_manifest_that_was_edited_is_found(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "samples/manifest.json"
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree, indent=1, sort_keys=True) + "\n")
    (line,) = check(folder)
    assert line.startswith("manifest.json: ")


@given(st.binary(max_size=200) | st.sampled_from([b"[" * 10_000, b"1e999", b'{"shards": 1}', b"null"]))
def test_any_bytes_as_a_manifest_are_one_fault(sound: Path, data: bytes) -> None:
    path = sound / "samples/manifest.json"
    whole = path.read_bytes()
    try:
        path.write_bytes(data)
        (line,) = check(sound)
        assert line.startswith("manifest.json: ")
        assert line.isprintable()
    finally:
        path.write_bytes(whole)


def test_a_manifest_that_agrees_with_a_wrong_count_is_not_believed(folder: Path) -> None:
    said = manifest(folder)
    first = said.shards[0]
    wrong = replace(said, shards=(replace(first, samples=first.samples + 1), *said.shards[1:]))
    (folder / "samples/manifest.json").write_text(written(wrong))
    (line,) = check(folder)
    assert f"it holds {first.samples} samples, the manifest says {first.samples + 1}" in line


def set_json(files: Files, **changes: Any) -> None:
    files["json"] = json.dumps(json.loads(files["json"]) | changes).encode()


def bomb(_: dict[str, Any], files: Files) -> None:
    files["gt.jpg"] = files["gt.jpg"].replace(
        bytes([0, 17, 8, 0, SIZE_PX, 0, SIZE_PX]), bytes([0, 17, 8, 255, 255, 255, 255])
    )


CHANGES: dict[str, tuple[Change, str]] = {
    "holds": (lambda row, files: files.pop("ref0.jpg") and None, "should hold gt, json, lq, ref0"),
    "too many": (lambda row, files: files.update({"ref1.jpg": b""}), "should hold gt, json, lq, ref0"),
    "no JSON": (lambda row, files: files.update(json=b"{"), "a JSON that cannot be used"),
    "deep JSON": (lambda row, files: files.update(json=b"[" * 100_000), "a JSON that cannot be used"),
    "no theta": (lambda row, files: set_json(files, theta=[{"op": "rm -rf"}]), "unknown operation"),
    "other theta": (lambda row, files: set_json(files, theta=[]), "other things than the index"),
    "other person": (lambda row, files: set_json(files, identity="x"), "other things than the index"),
    "no image": (lambda row, files: files.update({"gt.jpg": b"\x89PNG"}), "image gt.jpg that cannot be read"),
    "bomb": (bomb, "image gt.jpg that"),
    "no name": (lambda row, files: row.update(identity=None), "lacks its identity"),
    "dots": (lambda row, files: row.update(split="test"), "is of the split test"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_sample_should_not_be_is_found_though_all_hashes_agree(folder: Path, name: str) -> None:
    change, wanted = CHANGES[name]
    rewrite(folder, a_shard(folder).stem, change)
    (line,) = check(folder)
    assert wanted in line


def sparse_member(name: str, size: int) -> bytes:
    """A GNU sparse member: 512 bytes that claim to be a file of any size, all of it zeros."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = f"{size:011o} ".encode()
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


def test_a_member_that_unpacks_to_terabytes_is_not_unpacked() -> None:
    row = {"key": "a", "references": []}
    with tarfile.open(fileobj=io.BytesIO(data := sparse_member("a.gt.jpg", 1 << 32))) as archive:
        assert archive.getmembers()[0].size == 1 << 32  # or the test tests nothing
    (fault,) = sample_faults(data, row)
    assert "a.gt.jpg is no plain file" in fault


@given(st.binary(max_size=3000))
def test_any_bytes_as_a_sample_are_a_fault(data: bytes) -> None:
    assert list(sample_faults(data, {"key": "a", "references": []}))


def test_a_key_in_two_shards_is_found(folder: Path) -> None:
    first, second, *_ = sorted((folder / "samples").glob("train-*.tar"))
    other = next(iter(files_of(first)))

    def change(row: dict[str, Any], files: Files) -> None:
        row["key"] = other
        set_json(files, key=other)

    rewrite(folder, second.stem, change)
    assert f"{second.name}: sample {other} is in another shard too; " in check(folder)[0]


def test_a_person_in_two_splits_is_found(folder: Path) -> None:
    people = pq.read_table(folder / "samples/val-00000.parquet").column("identity").to_pylist()

    def change(row: dict[str, Any], files: Files) -> None:
        row["identity"] = people[0]
        set_json(files, identity=people[0])

    rewrite(folder, a_shard(folder).stem, change)
    lines = check(folder)
    assert lines
    assert all(f"{people[0]} is in the splits train and val" in line for line in lines)


@pytest.mark.parametrize("table", [pa.table({"key": ["a"]}), pa.table({"files": [None]})])
def test_an_index_of_other_columns_is_found(folder: Path, table: pa.Table) -> None:
    said = manifest(folder)
    first = said.shards[0]
    pq.write_table(table, folder / "samples" / first.index.name)
    data = (folder / "samples" / first.index.name).read_bytes()
    index = replace(first.index, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (folder / "samples/manifest.json").write_text(
        written(replace(said, shards=(replace(first, index=index), *said.shards[1:])))
    )
    (line,) = check(folder)
    assert "is no index of samples" in line


def test_replay_finds_a_degraded_face_that_theta_does_not_give(folder: Path) -> None:
    name = a_shard(folder).stem

    def change(_: dict[str, Any], files: Files) -> None:
        files["lq.jpg"] = files["ref0.jpg"]

    rewrite(folder, name, change)
    assert check(folder, replay=0) == []
    (line,) = check(folder, replay=1000)
    assert line.startswith(f"{name}.tar: sample ")
    assert "has a degraded face that its ground truth and theta do not give" in line


def test_degraded_faces_of_another_engine_are_one_fault(folder: Path) -> None:
    def change(_: dict[str, Any], files: Files) -> None:
        files["lq.jpg"] = files["ref0.jpg"]

    for path in (folder / "samples").glob("*.tar"):
        rewrite(folder, path.stem, change, samples=1000)
    (line,) = check(folder, replay=5)
    assert line.startswith(
        "manifest.json: none of 5 degraded faces comes out of its ground truth and theta again"
    )


def test_an_unfinished_build_says_so(folder: Path) -> None:
    (folder / "build.yaml").write_text("")
    (folder / "samples/manifest.json").unlink()
    wanted = "manifest.json: is not there: the build is unfinished; run the same `facerefs build` again"
    assert check(folder)[0].startswith(wanted)
    shutil.rmtree(folder / "samples")
    assert check(folder)[0].startswith(wanted)


def test_a_folder_without_a_training_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no training set"):
        samples_in(tmp_path)


def test_the_command_says_each_fault_on_a_line_and_ends_with_1(folder: Path, tmp_path: Path) -> None:
    result = facerefs("verify", folder, "--replay", 0)
    assert result.returncode == 0, result.stderr
    assert "sound " in result.stdout
    path = a_shard(folder)
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    result = facerefs("verify", folder, "--replay", 0)
    assert result.returncode == 1
    assert f"{path.name}: has other bytes" in result.stdout
    assert "not sound   1 fault in" in result.stdout
    result = facerefs("verify", tmp_path / "nothing")
    assert result.returncode == 2
    assert "holds no training set" in result.stderr


# ---- others read it


@pytest.fixture(scope="module", params=get_args(ImageFormat))
def shards(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    image_format: ImageFormat = request.param
    folder = tmp_path_factory.mktemp(image_format)
    return sorted(make_set(folder, replace(SMALL, image_format=image_format), people=2).glob("*.tar"))


def read(shards: list[Path]) -> dict[str, Files]:
    return {key: files for tar in shards for key, files in files_of(tar).items()}


def test_webdataset_reads_every_format(shards: list[Path]) -> None:
    found = list(webdataset.WebDataset([str(path) for path in shards], shardshuffle=False).decode("rgb8"))
    samples = read(shards)
    assert [sample["__key__"] for sample in found] == list(samples)
    for sample in found:
        for kind, data in samples[sample["__key__"]].items():
            if kind == "json":
                assert sample[kind] == json.loads(data)
            else:
                assert np.array_equal(sample[kind], decode_image(data))


def test_hugging_face_datasets_reads_every_format(shards: list[Path], tmp_path: Path) -> None:
    files = [str(path) for path in shards]
    found = datasets.load_dataset(
        "webdataset", data_files=files, split="train", cache_dir=str(tmp_path), streaming=True
    )
    samples = read(shards)
    count = 0
    for sample in found:
        count += 1
        stored = samples[sample["__key__"]]
        (truth,) = (kind for kind in stored if kind.startswith("gt."))
        assert np.array_equal(np.asarray(sample[truth].convert("RGB")), decode_image(stored[truth]))
        assert sample["json"]["key"] == sample["__key__"]
    assert count == len(samples)


def test_tar_lists_and_unpacks_every_format(shards: list[Path], tmp_path: Path) -> None:
    for path in shards:
        listed = subprocess.run(
            ["tar", "tf", path], check=True, capture_output=True, text=True
        ).stdout.split()
        with tarfile.open(path) as archive:
            assert archive.getnames() == listed
            archive.extractall(tmp_path, filter="data")
        for key, files in files_of(path).items():
            assert all((tmp_path / f"{key}.{kind}").read_bytes() == data for kind, data in files.items())
