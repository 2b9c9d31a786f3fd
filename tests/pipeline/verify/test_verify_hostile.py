"""`facerefs verify` on training sets that were made to deceive: all hashes agree, and nothing is unpacked in vain."""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.pipeline.dataset import card
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.tar import BLOCK, TarWriter, read_members
from facerefs.pipeline.verify.replay import replay_fault
from facerefs.pipeline.verify.sample import sample_faults
from facerefs.pipeline.verify.verify import Fault
from facerefs.schemas.manifest import Manifest, written
from facerefs.schemas.tables import SAMPLES
from tests.pipeline.small_set import SMALL, Files, files_of, make_set, rewrite
from tests.pipeline.verify.test_verify import a_shard, check, manifest, set_json, sparse_member

ROW = {"key": "a", "references": []}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "build"
    make_set(folder, people=4)
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "build"))


def tar_of(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    writer = TarWriter(buffer)
    for name, data in members:
        writer.add(name, data)
    return buffer.getvalue()


def pax(name: str, data: bytes, **headers: str) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.pax_headers = len(data), headers
    return info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % BLOCK)


def linked(name: str, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(
    "data",
    [
        sparse_member("a.gt.jpg", 1 << 32),
        pax("a.gt.jpg", b"", **{"GNU.sparse.size": str(1 << 40), "GNU.sparse.map": "0,0"}),
        pax("a.gt.jpg", b"x", size=str(1 << 40)),
        linked("a.gt.jpg", tarfile.LNKTYPE),
        linked("a.gt.jpg", tarfile.SYMTYPE),
        linked("a.gt.jpg", tarfile.CHRTYPE),
        tar_of(("a", b"1"), ("a", b"2")),
        tar_of(("a", b"1")) + b"x" * BLOCK,
        tar_of(("a", b"1")) + bytes(2 * BLOCK) + tar_of(("b", b"2")),
        tar_of(("a", b"1" * BLOCK))[:-1],
        tar_of(("a", b"1"))[:100],
        b"",
    ],
)
def test_what_is_no_run_of_plain_files_is_no_tar(data: bytes) -> None:
    with pytest.raises(tarfile.ReadError):
        read_members(data)
    assert list(sample_faults(data, ROW))


@given(st.binary(max_size=300), st.integers(0, 1500), st.data())
def test_any_damage_to_a_tar_is_an_error_or_plain_files(junk: bytes, at: int, data: st.DataObject) -> None:
    whole = bytearray(tar_of(("a", b"1"), ("b", b"2" * 600)))
    whole[at : at + data.draw(st.sampled_from([0, len(junk)]))] = junk
    try:
        members = read_members(bytes(whole))
    except tarfile.ReadError:
        return
    assert sum(map(len, members.values())) <= len(whole)


FILES: dict[str, bytes] = {"gt.jpg": b"1", "json": b"{}", "lq.jpg": b"2"}


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("a", ["gt.jpg", "json.x", "lq.jpg"]),
        ("a", ["gt./../../x.jpg", "json", "lq.jpg"]),
        ("a", ["gt.jpg", "json", "lq.sh"]),
        ("a", ["gt.jpg", "json", "lq"]),
        ("../a", ["gt.jpg", "json", "lq.jpg"]),
        ("/etc/a", ["gt.jpg", "json", "lq.jpg"]),
        ("a b\n", ["gt.jpg", "json", "lq.jpg"]),
        ("a", ["lq.jpg", "json", "gt.jpg"]),
    ],
)
def test_names_are_those_that_we_write(key: str, names: list[str]) -> None:
    data = tar_of(*((f"{key}.{name}", b"{}") for name in names))
    (fault,) = sample_faults(data, ROW | {"key": key})
    assert "should hold gt, json, lq" in fault


def test_members_of_another_key_do_not_pass() -> None:
    data = tar_of(("a.gt.jpg", b""), ("b.json", b""), ("a.lq.jpg", b""))
    (fault,) = sample_faults(data, ROW)
    assert fault.startswith("holds a.gt.jpg, a.lq.jpg, b.json and should hold")


def test_an_archive_that_ends_in_its_midst_is_found() -> None:
    data = tar_of(*((f"a.{name}", content) for name, content in FILES.items())) + bytes(2 * BLOCK)
    (fault,) = sample_faults(data, ROW)
    assert "not one USTAR member after the other" in fault


def restate(folder: Path, **changes: Any) -> None:
    """Write the manifest with another first shard, its fingerprint in order."""
    said = manifest(folder)
    shards = (replace(said.shards[0], **changes), *said.shards[1:])
    (folder / "samples/manifest.json").write_text(written(replace(said, shards=shards)))


def write_index(folder: Path, table: pa.Table) -> None:
    first = manifest(folder).shards[0]
    path = folder / "samples" / first.index.name
    pq.write_table(table, path, compression="zstd", store_schema=False)
    data = path.read_bytes()
    restate(folder, index=replace(first.index, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))


def test_a_shard_that_does_not_end_as_a_tar_is_found(folder: Path) -> None:
    first = manifest(folder).shards[0]
    path = folder / "samples" / first.name
    data = path.read_bytes()[: -2 * BLOCK] + b"x" * 2 * BLOCK
    path.write_bytes(data)
    restate(folder, sha256=hashlib.sha256(data).hexdigest())
    (line,) = check(folder)
    assert line.startswith(f"{first.name}: does not end with two blocks of zeros")


def test_an_index_that_unpacks_to_gigabytes_is_left(folder: Path) -> None:
    rows = 50_000
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 100_000]))
    columns = {name: pa.nulls(rows, SAMPLES.field(name).type) for name in SAMPLES.names}
    columns |= {"key": pa.array(map(str, range(rows))), "theta": text, "reject": pa.array(["x"] * rows)}
    table = pa.table(columns)
    write_index(folder, table.cast(table.schema.set(0, SAMPLES.field("key"))))
    (line,) = check(folder)
    assert "is no index of samples (it unpacks to more than 512 MB)" in line


def test_an_index_of_more_samples_is_found_before_all_are_read(folder: Path) -> None:
    table = pq.read_table(folder / "samples" / manifest(folder).shards[0].index.name)
    write_index(folder, pa.concat_tables([table] * 50))
    (line,) = check(folder)
    assert "it holds more than the " in line


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("offset", value) for value in (1 << 60, -512, None)),
        *(("length", value) for value in (1 << 62, -512, 100, None)),
        *(("path", value) for value in ("/etc/passwd", "../samples/x.tar", None)),
    ],
)
def test_places_outside_the_shard_are_found(folder: Path, field: str, value: Any) -> None:
    table = pq.read_table(folder / "samples" / manifest(folder).shards[0].index.name)
    rows = table.to_pylist()
    rows[0]["files"][field] = value
    write_index(folder, pa.Table.from_pylist(rows, SAMPLES))
    (line,) = check(folder)
    assert "does not agree with its shard" in line


Edit = Callable[[Manifest], Manifest]
TWICE = "names a file twice"
EDITS: dict[str, tuple[Edit, str]] = {
    "a shard": (lambda said: replace(said, shards=(*said.shards, said.shards[0])), TWICE),
    "a document": (lambda said: replace(said, documents=said.documents * 2), TWICE),
    "an index": (lambda said: replace(said, indexes_only=(said.shards[0].index,)), "with the index of"),
    "an index of another": (
        lambda said: replace(
            said, shards=(replace(said.shards[0], index=said.shards[1].index), *said.shards[1:])
        ),
        "with the index of another",
    ),
    "another split": (
        lambda said: replace(said, shards=(replace(said.shards[0], split="val"), *said.shards[1:])),
        "of another split",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_manifest_that_contradicts_itself_is_refused(folder: Path, name: str) -> None:
    edit, wanted = EDITS[name]
    (folder / "samples/manifest.json").write_text(written(edit(manifest(folder))))
    (line,) = check(folder)
    assert wanted in line


def test_a_manifest_with_other_line_ends_or_of_another_version_is_found(folder: Path) -> None:
    path = folder / "samples/manifest.json"
    text = path.read_text()
    path.write_bytes(text.replace("\n", "\r\n").encode())
    assert "was changed after it was written" in check(folder)[0]
    path.write_text(json.dumps(json.loads(text) | {"version": 3}))
    assert "of another version of facerefs" in check(folder)[0]


@pytest.mark.parametrize("value", ["x", None, True, [], -1.0, {"low": 0}])
def test_a_recipe_in_the_manifest_is_one(folder: Path, value: Any) -> None:
    recipe = json.loads(json.dumps(manifest(folder).recipe))
    recipe["rounds"][0]["blur"]["sinc_chance"] = value
    (folder / "samples/manifest.json").write_text(written(replace(manifest(folder), recipe=recipe)))
    (line,) = check(folder)
    assert line.startswith("manifest.json: holds no recipe: ")


def test_a_recipe_that_leaves_out_what_it_means_is_found(folder: Path) -> None:
    recipe = json.loads(json.dumps(manifest(folder).recipe))
    del recipe["rounds"][0]["blur"]["sinc_chance"]
    (folder / "samples/manifest.json").write_text(written(replace(manifest(folder), recipe=recipe)))
    assert "holds a recipe of another version of facerefs" in check(folder)[0]


@pytest.mark.parametrize(
    ("theta", "wanted"),
    [
        ([{"op": "resize", "out_w": 16_384, "out_h": 1, "mode": "bilinear"}], "makes 16384 px of 64"),
        ([{"op": "mirror"}] * 1000, "of 1000 operations"),
    ],
)
def test_a_theta_that_would_take_all_memory_is_not_replayed(
    folder: Path, theta: list[Any], wanted: str
) -> None:
    def change(row: dict[str, Any], files: Files) -> None:
        set_json(files, theta=theta)

    name = a_shard(folder).stem
    rewrite(folder, name, change)
    files = next(iter(files_of(folder / "samples" / f"{name}.tar").values()))
    assert wanted in (replay_fault(files) or "")


def test_a_file_that_cannot_be_read_is_a_fault(folder: Path) -> None:
    path = a_shard(folder)
    path.unlink()
    path.symlink_to("/proc/self/mem")  # a plain file to all who ask, and an error to all who read
    (line,) = check(folder, replay=3)
    assert line.startswith(f"{path.name}: cannot be read (")


def test_a_set_without_samples_is_a_fault(tmp_path: Path) -> None:
    card.write(Storage(str(tmp_path)), SMALL)
    (line,) = check(tmp_path)
    assert line.startswith("manifest.json: names no samples; report.html")


def test_a_line_is_short_and_plain_whatever_a_name_holds() -> None:
    line = Fault("train-00000.tar", "\x1b[31m" + "x" * 10_000, "delete it").line()
    assert len(line) < 600
    assert line.isprintable()
    assert line.endswith("; delete it")
