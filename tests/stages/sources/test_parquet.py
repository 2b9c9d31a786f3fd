"""Parquet files with the photos' bytes."""

import json
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import SOURCES, loaded
from facerefs.stages.sources import parquet
from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.parquet import holds_photos, open_parquet
from facerefs.stages.sources.source import SourceError

HF_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def listing(*paths: Path, **columns: str) -> list[dict[str, Any]]:
    tables = list(open_parquet(paths, ColumnNames(**columns)).rows())
    assert all(table.schema == loaded(SOURCES) for table in tables)
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    assert len({row["key"] for row in rows}) == len(rows)
    return rows


@pytest.mark.parametrize("type_", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("name", ["image", "jpg", "image_bytes", "Bytes"])
def test_a_column_of_bytes_is_a_column_of_photos(tmp_path: Path, name: str, type_: pa.DataType) -> None:
    columns = {name: pa.array([b"1", b"2"], type_), "name": ["Ann", None], "caption": ["c", ""], "n": [1, 2]}
    path = write(tmp_path / "x.parquet", **columns)
    assert holds_photos(path)
    first, second = listing(path)
    assert (first["key"], first["photo"], first["label"]) == ("x.parquet/1", b"1", "Ann")
    assert (second["key"], second["photo"], second["label"]) == ("x.parquet/2", b"2", None)
    assert json.loads(first["provenance"]) == {"caption": "c", "n": 1}
    assert json.loads(second["provenance"]) == {"n": 2}


def test_the_struct_of_hugging_face_gives_the_key_too(tmp_path: Path) -> None:
    images = [
        {"bytes": b"1", "path": "a/0.jpg"},
        {"bytes": b"2", "path": None},
        {"bytes": b"3", "path": "a/0.jpg"},
    ]
    path = write(tmp_path / "x.parquet", picture=pa.array(images, HF_IMAGE), label=[5, 6, 5])
    assert holds_photos(path)
    rows = listing(path)
    assert [row["key"] for row in rows] == ["x.parquet/a/0.jpg", "x.parquet/2", "x.parquet/a/0.jpg (row 3)"]
    assert [row["label"] for row in rows] == ["5", "6", "5"]
    assert [row["photo"] for row in rows] == [b"1", b"2", b"3"]


def as_hugging_face(features: object) -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


CLASSES = {"label": {"names": ["Ann", "Bob"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
CLASSES |= {"mood": {"feature": {"names": ["glad", "sad"], "_type": "ClassLabel"}, "_type": "Sequence"}}


@pytest.mark.parametrize("type_", [pa.int64(), pa.int32(), pa.dictionary(pa.int8(), pa.int64())])
def test_the_numbers_of_a_class_label_are_names(tmp_path: Path, type_: pa.DataType) -> None:
    path = tmp_path / "x.parquet"
    images = pa.array([{"bytes": b"1", "path": None}] * 5, HF_IMAGE)
    labels = pa.array([1, 0, -1, None, 2], type_)
    table = pa.table({"image": images, "label": labels, "mood": [[0, 1], None, [], [1], [0]]})
    pq.write_table(table.replace_schema_metadata(as_hugging_face(CLASSES)), path)
    rows = listing(path)
    assert [row["label"] for row in rows] == ["Bob", "Ann", None, None, None]
    assert [row["reject"] for row in rows] == [None] * 4 + [Reject.BAD_ROW]
    assert "its label is 2, but the file names only the classes 0 to 1" in rows[4]["reject_detail"]
    assert json.loads(rows[0]["provenance"]) == {"mood": ["glad", "sad"]}


@pytest.mark.parametrize(
    "metadata",
    [
        {b"huggingface": b"{"},
        as_hugging_face([]),
        as_hugging_face({"label": 7}),
        as_hugging_face({"label": {"_type": "ClassLabel"}}),
    ],
)
def test_metadata_that_makes_no_sense_leaves_the_numbers(
    tmp_path: Path, metadata: dict[bytes, bytes]
) -> None:
    pq.write_table(
        pa.table({"image": [b"1"], "label": [1]}).replace_schema_metadata(metadata), tmp_path / "x.parquet"
    )
    assert [row["label"] for row in listing(tmp_path / "x.parquet")] == ["1"]


TEXTS = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]
TEXTS += [pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int32(), pa.binary())]


@pytest.mark.parametrize("type_", TEXTS, ids=str)
@pytest.mark.parametrize(
    "image", [pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.binary())], ids=str
)
def test_labels_and_urls_of_any_type_are_text(tmp_path: Path, type_: pa.DataType, image: pa.DataType) -> None:
    names, urls = pa.array(["Zoë", "Ann"]).cast(type_), pa.array(["http://a", "http://b"]).cast(type_)
    path = write(tmp_path / "x.parquet", image=pa.array([b"1", b"2"]).cast(image), name=names, url=urls)
    assert [(row["label"], row["url"]) for row in listing(path)] == [("Zoë", "http://a"), ("Ann", "http://b")]


def test_bytes_that_are_no_text_are_one_bad_row(tmp_path: Path) -> None:
    hashes = [bytes(range(32)), None]
    path = write(
        tmp_path / "x.parquet", image=[b"1", b"2"], name=[b"Zo\xeb", b"\xef\xbb\xbfAnn"], sha256=hashes
    )
    first, second = listing(path, sha256="sha256")
    assert first["reject"] == Reject.BAD_ROW
    assert "its name is no UTF-8 text" in first["reject_detail"]
    assert second["label"] == "Ann"
    path = write(tmp_path / "x.parquet", image=[b"1", b"2"], sha256=hashes)
    assert listing(path, sha256="sha256")[0]["sha256"] == bytes(range(32)).hex()


@pytest.mark.parametrize("value", [7, 7.0, Decimal("7"), Decimal("7.00"), "7.0"], ids=repr)
def test_a_number_is_the_same_person_in_every_type(tmp_path: Path, value: object) -> None:
    assert listing(write(tmp_path / "x.parquet", image=[b"1"], label=[value]))[0]["label"] == "7"


def test_an_image_of_hugging_face_may_be_a_path(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    images = [
        {"bytes": None, "path": "a.jpg"},
        {"bytes": None, "path": "b.jpg"},
        {"bytes": None, "path": "http://a"},
    ]
    path = write(tmp_path / "x.parquet", image=pa.array(images, HF_IMAGE), label=["Ann", "Ann", None])
    rows = listing(path)
    assert [(row["photo"], row["reject"]) for row in rows] == [
        (b"photo", None),
        (None, Reject.BAD_ROW),
        (None, Reject.BAD_ROW),
    ]
    source = open_parquet([path], ColumnNames())
    assert list(source.rows())
    assert source.notes[0].startswith("1 of 3 photos are files on this machine")


def test_a_list_of_urls_holds_no_photos(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", url=["http://a"], image=["a.jpg"], embedding=[b"1"])
    assert not holds_photos(path)
    assert holds_photos(path, ColumnNames(photo="embedding"))
    with pytest.raises(SourceError, match="no column of photos, only `url`, `image`, `embedding`"):
        open_parquet([path], ColumnNames())
    assert listing(path, photo="embedding")[0]["photo"] == b"1"
    with pytest.raises(SourceError, match="no column `imge`"):
        open_parquet([path], ColumnNames(photo="imge"))


def test_two_columns_of_photos_end_in_a_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", image=[b"1"], jpg=[b"2"])
    assert holds_photos(path)
    with pytest.raises(SourceError, match=r"columns\.photo=image"):
        open_parquet([path], ColumnNames())
    (row,) = listing(path, photo="jpg")
    assert (row["photo"], row["provenance"]) == (b"2", None)


def test_hash_and_box_count_only_if_they_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", image=[b"1"], sha256=["ab" * 32], bbox=[[0, 0, 2, 3]])
    (plain,) = listing(path)
    assert (plain["sha256"], plain["box"]) == (None, None)
    assert json.loads(plain["provenance"]) == {"sha256": "ab" * 32, "bbox": [0, 0, 2, 3]}
    (named,) = listing(path, sha256="sha256", bbox="bbox")
    assert (named["sha256"], named["box"]) == ("ab" * 32, [0, 0, 2, 3])


def test_a_row_without_bytes_or_with_a_bad_label_is_rejected(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.parquet", image=[None, b"2", b"3"], url=["http://a"] * 3, name=["", "x" * 2000, "Ann"]
    )
    rows = listing(path)
    assert [(row["key"], row["reject"]) for row in rows] == [
        ("x.parquet/1", Reject.BAD_ROW),
        ("x.parquet/2", Reject.BAD_ROW),
        ("x.parquet/3", None),
    ]


def test_a_photo_that_is_too_large_comes_without_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "MAX_BLOB_BYTES", 10)
    first, second = listing(write(tmp_path / "x.parquet", image=[b"x" * 11, b"x" * 10], name=["Ann", "Ann"]))
    assert (first["photo"], first["reject"], first["label"]) == (None, Reject.TOO_MANY_BYTES, "Ann")
    assert (second["photo"], second["reject"]) == (b"x" * 10, None)


@pytest.mark.parametrize("hostile", ["\x1b[2J", "x" * 2000, "", "a\0b"])
def test_a_path_that_is_none_is_not_used_as_a_key(tmp_path: Path, hostile: str) -> None:
    images = pa.array([{"bytes": b"1", "path": hostile}], HF_IMAGE)
    assert listing(write(tmp_path / "x.parquet", image=images))[0]["key"] == "x.parquet/1"


def test_several_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, image=[b"1"]) for name in ("b.parquet", "a.parquet")]
    assert [row["key"] for row in listing(*paths)] == ["a.parquet/1", "b.parquet/1"]
    assert open_parquet(paths, ColumnNames()).name == str(tmp_path)
    assert open_parquet(paths[:1], ColumnNames()).name == str(paths[0])


def test_damaged_and_empty_files_end_in_a_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", image=pa.array([], pa.binary()))
    with pytest.raises(SourceError, match="no row"):
        open_parquet([path], ColumnNames())
    write(path, image=[bytes([i]) * 1000 for i in range(100)])
    whole = path.read_bytes()
    for data in (b"", whole[:-9], whole[:4] + b"\xff" * 300 + whole[304:]):
        path.write_bytes(data)
        with pytest.raises(SourceError, match=r"x\.parquet"):
            listing(path)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for count in (500, 4000):
        images = [i.to_bytes(4, "big") * 10_000 for i in range(count)]
        pq.write_table(pa.table({"image": images}), tmp_path / "x.parquet", row_group_size=100)
        del images
        source = open_parquet([tmp_path / "x.parquet"], ColumnNames())
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        most = max(pa.total_allocated_bytes() - before for _ in source.rows())
        peaks.append(tracemalloc.get_traced_memory()[1] + most)
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + (8 << 20) < 80 << 20
