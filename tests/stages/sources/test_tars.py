"""Tars with photos: where their bytes lie, which annotations they have, and tars that were made to do harm."""

import contextlib
import io
import json
import os
import tarfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerefs.schemas.paths import path_of_text
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.source import SourceError
from facerefs.stages.sources.tars import open_tars

Row = dict[str, Any]


def write(path: Path, *files: tuple[str, bytes], format_: int = tarfile.USTAR_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format_) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def listing(*paths: Path, **columns: str) -> list[Row]:
    tables = list(open_tars(paths, ColumnNames(**columns)).rows())
    assert all(table.schema == SOURCES for table in tables)
    rows: list[Row] = pa.concat_tables(tables).to_pylist()
    assert len({row["key"] for row in rows}) == len(rows)
    return rows


def data_of(row: Row) -> bytes:
    with Path(path_of_text(row["photo"]["path"])).open("rb") as file:
        file.seek(row["photo"]["offset"])
        return file.read(row["photo"]["length"])


def as_json(**content: object) -> bytes:
    return json.dumps(content).encode()


def test_a_row_says_where_the_bytes_lie_and_what_the_json_beside_them_says(tmp_path: Path) -> None:
    content = as_json(
        url="http://a", caption="Zoë", sha256="of the original", person="Ann", license="CC0", key="0"
    )
    path = write(tmp_path / "00000.tar", ("0.jpg", b"photo"), ("0.json", content), ("0.txt", b"Zo"))
    (row,) = listing(path)
    assert row["key"] == "00000.tar/0.jpg"
    assert data_of(row) == b"photo"
    assert row["modified_ns"] == path.stat().st_mtime_ns
    assert (row["url"], row["label"], row["licence"]) == ("http://a", "Ann", "CC0")
    assert row["sha256"] is None
    assert json.loads(row["provenance"]) == {"caption": "Zoë", "key": "0", "sha256": "of the original"}


def test_the_json_may_come_first_and_may_lack(tmp_path: Path) -> None:
    files = [("a/0.json", as_json(name="Ann")), ("a/0.jpg", b"1"), ("b/0.jpg", b"2"), ("c.PNG", b"3")]
    rows = listing(write(tmp_path / "x.tar", *files))
    assert [(row["key"], row["label"]) for row in rows] == [
        ("x.tar/a/0.jpg", "Ann"),
        ("x.tar/b/0.jpg", None),
        ("x.tar/c.PNG", None),
    ]


def test_several_photos_of_a_sample_have_its_label(tmp_path: Path) -> None:
    files = [
        ("x.target.png", b"1"),
        ("x.ref0.png", b"2"),
        ("x.json", as_json(identity="Ann")),
        ("y.png", b"3"),
    ]
    assert [row["label"] for row in listing(write(tmp_path / "x.tar", *files))] == ["Ann", "Ann", None]


PAIRS = {
    "dots in the name": ("A.B.Lovelace_01.jpg", "A.B.Lovelace_01.json"),
    "the key of several photos": ("001.ref.jpg", "001.json"),
    "several, and dots in the name": ("A.B.Lovelace.ref.jpg", "A.B.Lovelace.json"),
    "the whole name": ("0.jpg", "0.jpg.json"),
    "upper case": ("X.JPG", "X.JSON"),
    "another case": ("Img_1.JPG", "IMG_1.json"),
    "a folder with dots": ("v1.0/a.b/0.jpg", "v1.0/a.b/0.json"),
    "from here": ("./a/0.jpg", "a/0.json"),
    "composed and decomposed": ("Zo\u00eb.jpg", "Zoe\u0308.json"),
    "many dots": (".".join("abcdefghijklmnop") + ".jpg", ".".join("abcdefghijklmnop") + ".json"),
    "the key of many dots": (".".join("abcdefghijklmnop") + ".jpg", "a.json"),
    "a query": ("1.jpg?w=1024", "1.json"),
    "a number of wget": ("2.jpg.1", "2.json"),
    "no ending": ("photo", "photo.json"),
}
PHOTO = b"\xff\xd8\xff\xe0 begins like a JPEG"


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("place", ["before", "after", "behind all photos"])
def test_a_photo_finds_its_json_by_its_name_wherever_it_stands(tmp_path: Path, pair: str, place: str) -> None:
    photo, annotations = PAIRS[pair]
    told = (annotations, as_json(name="Ada", url="http://a", license="CC0"))
    files = [(photo, PHOTO), *([told] if place == "after" else []), ("other.jpg", b"2"), ("last.jpg", b"3")]
    files = [told, *files] if place == "before" else files
    files = [*files, told] if place == "behind all photos" else files
    first, *others = listing(write(tmp_path / "x.tar", *files, format_=tarfile.PAX_FORMAT))
    assert (first["label"], first["url"], first["licence"]) == ("Ada", "http://a", "CC0")
    assert [(row["label"], row["reject"]) for row in others] == [(None, None)] * 2


def test_the_longest_name_decides_whose_annotations_they_are(tmp_path: Path) -> None:
    names = ("A", "A.B", "A.B.C")
    texts = [(f"{name}.json", as_json(name=name)) for name in names]
    photos = [(f"{name}.jpg", b"1") for name in (*names, "A.B.C.ref", "A.X")]
    rows = listing(write(tmp_path / "x.tar", *photos, *texts))
    assert [row["label"] for row in rows] == ["A", "A.B", "A.B.C", "A.B.C", "A"]


def test_another_folder_is_another_name(tmp_path: Path) -> None:
    files = [("a/0.jpg", b"1"), ("b/0.jpg", b"2"), ("b/0.json", as_json(name="Bob"))]
    assert [row["label"] for row in listing(write(tmp_path / "x.tar", *files))] == [None, "Bob"]


def test_case_counts_where_names_differ_in_it_only(tmp_path: Path) -> None:
    photos = [("A.jpg", b"1"), ("a.jpg", b"2")]
    both = [("a.json", as_json(name="small")), ("A.json", as_json(name="large"))]
    assert [row["label"] for row in listing(write(tmp_path / "x.tar", *photos, *both))] == ["large", "small"]
    rows = listing(write(tmp_path / "x.tar", *photos, both[0]))
    assert [(row["label"], row["reject"]) for row in rows] == [(None, Reject.BAD_ROW), ("small", None)]
    rows = listing(write(tmp_path / "x.tar", ("Ab.jpg", b"1"), ("aB.jpg", b"2"), ("AB.json", b"{}")))
    assert {row["reject"] for row in rows} == {Reject.BAD_ROW}
    assert "case" in rows[0]["reject_detail"]


def notes(path: Path, **columns: str) -> str:
    source = open_tars([path], ColumnNames(**columns))
    assert list(source.rows())
    return "\n".join(source.notes)


def test_photos_without_what_others_have_are_counted(tmp_path: Path) -> None:
    files = [
        ("0.jpg", b"1"),
        ("0.json", as_json(name="Ann")),
        ("1.jpg", b"2"),
        ("2.jpg", b"3"),
        ("9.json", b"{}"),
    ]
    said = notes(write(tmp_path / "x.tar", *files, ("2.json", b"{"), ("0.npy", b"")))
    assert "1 of 3 photos have no .json, such as 1.jpg" in said
    assert "1 of 3 photos have no name, such as x.tar/1.jpg" in said
    assert "1 of 3 rows are rejected as bad_row, such as x.tar/2.jpg: 2.json cannot be read" in said
    assert "1 files .json belong to no photo" in said
    assert "not read: 1 .npy" in said
    assert not notes(write(tmp_path / "x.tar", ("0.jpg", b"1"), ("1.jpg", b"2")))


def test_names_that_are_not_read_are_pointed_at(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", ("0.jpg", b"1"), ("0.cls", b"7"), ("1.jpg", b"2"))
    assert "--set columns.identity=cls" in notes(path)
    assert "1 of 2 photos have no .cls, such as 1.jpg" in notes(path, identity="cls")


def test_folders_in_a_tar_are_no_people_and_that_is_said(tmp_path: Path) -> None:
    people = [("lfw/Ada/1.jpg", b"1"), ("lfw/Bob/1.jpg", b"2")]
    assert "folders in a tar, such as lfw/Ada, are not taken for people" in notes(
        write(tmp_path / "x.tar", *people)
    )
    assert not notes(write(tmp_path / "y.tar", people[0], ("lfw/Ada/1.json", as_json(identity="Ada"))))


ENDINGS = ["1.jpg?w=1024", "2.jpg.1", "photo", "PHOTO.JPG", "a.jpg_large", "a.jpeg!d"]
HEADS = [PHOTO, b"\x89PNG\r\n\x1a\n", b"RIFF\1\0\0\0WEBPVP8 ", b"GIF89a", b"\0\0\0\x18ftypheic", b"II*\0\1"]


def test_photos_are_known_by_their_content_too(tmp_path: Path) -> None:
    others = [
        ("0.txt", b"BMW in Munich, 1972"),
        ("1.txt", b"II"),
        ("2", b""),
        ("._3", PHOTO),
        ("x.mp4", b"\0\0\0 ftypisom"),
    ]
    photos = [(name, PHOTO) for name in ENDINGS] + [(f"x{i}", head) for i, head in enumerate(HEADS)]
    rows = listing(write(tmp_path / "x.tar", *others, *photos))
    assert [row["key"] for row in rows] == [f"x.tar/{name}" for name, _ in photos]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_makes_no_other_person(tmp_path: Path, encoding: str) -> None:
    files = [("0.jpg", b"1"), ("0.cls", "Zoë\r\n".encode(encoding)), ("1.jpg", b"2")]
    files += [("1.json", '{"name": "Zoë"}'.encode(encoding))]
    path = write(tmp_path / "x.tar", *files)
    assert listing(path, identity="cls")[0]["label"] == "Zoë"
    assert listing(path)[1]["label"] == "Zoë"


def test_a_label_that_is_no_text_rejects_its_photo(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.tar", ("0.jpg", b"1"), ("0.cls", b"Zo\xeb"), ("1.jpg", b"2"), ("1.cls", b"Ann")
    )
    rows = listing(path, identity="cls")
    assert [(row["label"], row["reject"]) for row in rows] == [(None, Reject.BAD_ROW), ("Ann", None)]


def test_a_column_that_only_late_annotations_have_is_found(tmp_path: Path) -> None:
    files = [(f"{i}.{ending}", b"{}") for i in range(150) for ending in ("jpg", "json")]
    path = write(tmp_path / "x.tar", *files, ("x.jpg", b"1"), ("x.json", as_json(who="Ann")))
    assert listing(path, identity="who")[-1]["label"] == "Ann"


@pytest.mark.parametrize("ending", ["txt", "cls"])
def test_a_file_beside_the_photo_may_name_the_person(tmp_path: Path, ending: str) -> None:
    files = [
        ("0.jpg", b"1"),
        (f"0.{ending}", " Zoë\n".encode()),
        ("0.json", as_json(name="no")),
        ("1.jpg", b"2"),
    ]
    path = write(tmp_path / "x.tar", *files)
    assert [row["label"] for row in listing(path, identity=ending)] == ["Zoë", None]
    assert [row["label"] for row in listing(path)] == ["no", None]


def test_a_named_column_that_some_samples_lack_is_not_replaced(tmp_path: Path) -> None:
    files = [
        ("0.jpg", b"1"),
        ("0.json", as_json(who="Ann", name="x")),
        ("1.jpg", b"2"),
        ("1.json", as_json(name="y")),
    ]
    assert [row["label"] for row in listing(write(tmp_path / "x.tar", *files), identity="who")] == [
        "Ann",
        None,
    ]


def test_a_named_column_that_none_has_ends_in_a_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", ("0.jpg", b"1"), ("0.json", as_json(person="Ann")))
    with pytest.raises(SourceError, match=r"no column `persn`.*`person`"):
        open_tars([path], ColumnNames(identity="persn"))


def test_two_names_for_the_person_end_in_a_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", ("0.jpg", b"1"), ("0.json", as_json(person="Ann", label="7")))
    with pytest.raises(SourceError, match=r"columns\.identity=person"):
        open_tars([path], ColumnNames())


def test_two_names_further_down_reject_their_photo_only(tmp_path: Path) -> None:
    files = [(f"{i}.{ending}", b"{}") for i in range(120) for ending in ("jpg", "json")]
    path = write(tmp_path / "x.tar", *files, ("x.jpg", b"1"), ("x.json", as_json(person="Ann", label="7")))
    rows = listing(path)
    assert [row["key"] for row in rows if row["reject"]] == ["x.tar/x.jpg"]


def test_bad_json_does_not_hide_the_columns_behind_it(tmp_path: Path) -> None:
    files = [("0.jpg", b"1"), ("0.json", b"{"), ("1.jpg", b"2"), ("1.json", as_json(who="Ann"))]
    rows = listing(write(tmp_path / "x.tar", *files), identity="who")
    assert [row["label"] for row in rows] == [None, "Ann"]


def test_a_tar_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write(tmp_path / "a" / "real.tar", ("0.jpg", b"1"))
    (tmp_path / "x.tar").symlink_to("a/real.tar")
    (row,) = listing(tmp_path / "x.tar")
    assert (row["key"], data_of(row)) == ("x.tar/0.jpg", b"1")


def test_several_tars_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    paths = [write(tmp_path / name, ("0.jpg", b"1")) for name in ("b.tar", "a.tar", "sub/a.tar")]
    assert [row["key"] for row in listing(*paths)] == ["a.tar/0.jpg", "b.tar/0.jpg", "sub/a.tar/0.jpg"]
    assert open_tars(paths, ColumnNames()).name == str(tmp_path)
    assert open_tars(paths[:1], ColumnNames()).name == str(paths[0])


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=150)
FORMATS = st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(NAMES, st.binary(max_size=1200)), min_size=1, max_size=5, unique_by=lambda file: file[0]
    ),
    FORMATS,
)
def test_the_places_are_those_that_tarfile_finds(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, bytes]], format_: int
) -> None:
    named = [(f"x{name}.jpg", data) for name, data in files]
    path = write(tmp_path_factory.mktemp("t") / "x.tar", *named, format_=format_)
    rows = listing(path)
    with tarfile.open(path) as tar:
        found = tar.getmembers()
    assert [row["photo"]["offset"] for row in rows] == [info.offset_data for info in found]
    assert [row["photo"]["length"] for row in rows] == [info.size for info in found]
    assert [data_of(row) for row in rows] == [data for _, data in named]
    first = path_of_text(rows[0]["key"])
    assert first == f"x.tar/{found[0].name}"


# ---- what is not in order


def test_the_same_name_twice_is_rejected(tmp_path: Path) -> None:
    rows = listing(write(tmp_path / "x.tar", ("0.jpg", b"1"), ("0.jpg", b"2"), ("0.jpg (member 2)", b"")))
    assert [row["key"] for row in rows] == ["x.tar/0.jpg", "x.tar/0.jpg (member 2)"]
    assert {row["reject"] for row in rows} == {Reject.BAD_ROW}


def test_photo_json_photo_json_under_one_key_gives_nobody_the_other_label(tmp_path: Path) -> None:
    twice = [
        ("0.jpg", b"1"),
        ("0.json", as_json(name="Ann")),
        ("0.jpg", b"2"),
        ("0.json", as_json(name="Bob")),
    ]
    rows = listing(write(tmp_path / "x.tar", *twice, ("1.jpg", b"3"), ("1.json", as_json(name="Cy"))))
    assert [(row["label"], row["reject"]) for row in rows] == [
        (None, Reject.BAD_ROW),
        (None, Reject.BAD_ROW),
        ("Cy", None),
    ]
    assert "several photos of this name" in rows[0]["reject_detail"]


@pytest.mark.parametrize("second", ["0.json", "0.JSON", "./0.json"])
def test_two_annotations_of_one_name_reject_their_photo(tmp_path: Path, second: str) -> None:
    files = [("0.json", as_json(name="Ann")), ("0.jpg", b"1"), (second, as_json(name="Bob")), ("1.jpg", b"2")]
    rows = listing(write(tmp_path / "x.tar", *files))
    assert [row["reject"] for row in rows] == [Reject.BAD_ROW, None]


def test_names_that_lead_elsewhere_are_only_names(tmp_path: Path) -> None:
    names = ["../../etc/x.jpg", "/abs/x.jpg", "./here/x.jpg", "a\\b.jpg"]
    rows = listing(write(tmp_path / "x.tar", *[(name, b"1") for name in names]))
    assert [row["key"] for row in rows] == [
        *("x.tar/../../etc/x.jpg", "x.tar//abs/x.jpg", "x.tar/here/x.jpg", "x.tar/a\\\\b.jpg"),
    ]


def test_hidden_files_and_others_are_no_photos(tmp_path: Path) -> None:
    names = ["._0.jpg", ".jpg", "a/.x.png", "0.txt", "jpg", "0.jpg.part", "0.jpg"]
    assert [row["key"] for row in listing(write(tmp_path / "x.tar", *[(name, b"1") for name in names]))] == [
        "x.tar/0.jpg"
    ]


KINDS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_plain_file_is_rejected(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("link.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
        folder = tarfile.TarInfo("folder.jpg")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        tar.addfile(tarfile.TarInfo("0.jpg"))
    link, photo = listing(path)
    assert (link["key"], link["reject"], link["photo"]) == ("x.tar/link.jpg", Reject.BAD_ROW, None)
    assert (photo["key"], photo["reject"]) == ("x.tar/0.jpg", None)


def header(name: str = "0.jpg", size: bytes = b"0" * 11, kind: bytes = b"0", **patch: bytes) -> bytes:
    info = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    info[124:136] = size.ljust(12, b"\0")
    info[156:157] = kind
    if "extended" in patch:
        info[482:483] = patch["extended"]
    info[148:156] = b" " * 8
    info[148:156] = f"{sum(info):06o}\0 ".encode()
    return bytes(info)


GOOD = header("good.jpg")
END = bytes(1024)


def test_sparse_files_are_rejected_and_what_follows_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    sparse_map = bytes(504) + b"\1" + bytes(7) + bytes(512)
    old = header("old.jpg", b"00000000010", b"S", extended=b"\1") + sparse_map + b"x" * 8 + bytes(504)
    records = b"22 GNU.sparse.major=1\n"
    pax = header("p", f"{len(records):011o}".encode(), b"x") + records.ljust(512, b"\0") + header("new.jpg")
    path.write_bytes(old + pax + GOOD + END)
    assert [(row["key"], row["reject"]) for row in listing(path)] == [
        ("x.tar/old.jpg", Reject.BAD_ROW),
        ("x.tar/new.jpg", Reject.BAD_ROW),
        ("x.tar/good.jpg", None),
    ]


def pax(records: bytes) -> bytes:
    return header("p", f"{len(records):011o}".encode(), b"x") + records + bytes(-len(records) % 512)


def test_a_pax_header_of_many_records_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes((pax(b"5 a=\n" * 10_900 + b"16 path=odd.jpg\n") + header()) * 20 + END)
    started = time.process_time()
    rows = listing(path)
    assert {row["key"].partition(" (")[0] for row in rows} == {"x.tar/odd.jpg"}
    assert time.process_time() - started < 1.5


def test_a_pax_header_that_is_too_long_rejects_its_file_only(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(pax(b"5 a=\n" * 200_000) + header() + GOOD + END)
    odd, good = listing(path)
    assert (odd["key"], odd["reject"], odd["photo"]) == ("x.tar/0.jpg", Reject.BAD_ROW, None)
    assert "more than 65536 bytes" in odd["reject_detail"]
    assert (good["key"], good["reject"]) == ("x.tar/good.jpg", None)


BROKEN = {
    "longer than the file": header(size=b"7" * 11),
    "petabytes": header(size=b"\x80" + b"\x7f" * 11),
    "negative": header(size=b"\xff" * 12),
    "no number": header(size=b"99999999999"),
    "huge name": header(kind=b"L", size=b"77777777"),
    "pax larger than a header may be": header(kind=b"x", size=b"00010000000") + bytes(1 << 21),
    "pax that lies": header(kind=b"x", size=b"00000000012") + b"99999 path=x".ljust(512, b"\0"),
    "pax of length 0": header(kind=b"x", size=b"00000000006") + b"0 x=y\n".ljust(512, b"\0"),
    "pax with a negative size": header(kind=b"x", size=b"00000000013")
    + b"11 size=-5\n".ljust(512, b"\0")
    + header(),
    "sparse map without end": header(kind=b"S", extended=b"\1") + (bytes(504) + b"\1" + bytes(7)) * 3,
    "noise": b"\xa5" * 512,
    "half a header": header()[:300],
    "nothing": b"",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_tar_that_makes_no_sense_gives_what_stands_before(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(GOOD + BROKEN[broken])
    good, end = listing(path)
    assert (good["key"], good["reject"]) == ("x.tar/good.jpg", None)
    assert (end["key"], end["reject"]) == ("x.tar", Reject.BAD_ROW)
    assert "tar" in end["reject_detail"]


@settings(max_examples=40, deadline=None)
@given(st.integers(512, 7000))
def test_a_truncated_tar_gives_the_whole_members(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    path = tmp_path_factory.mktemp("t") / "x.tar"
    files = [(f"{i}.jpg", bytes([i]) * 700) for i in range(4)]
    whole = write(path, *files).read_bytes()
    path.write_bytes(whole[:length])
    if length < 512 + 700:
        with pytest.raises(SourceError, match="no photos"):
            open_tars([path], ColumnNames())
        return
    rows = listing(path)
    photos = [row for row in rows if row["reject"] is None]
    assert [data_of(row) for row in photos] == [data for _, data in files][: len(photos)]
    assert len(photos) == min(4, (length + 1536 - 1212) // 1536)
    assert (rows[-1]["reject"] == Reject.BAD_ROW) == (length < 4 * 1536 + 512)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_byte_that_is_changed_does_harm(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("t") / "x.tar"
    files = [("é" * 60 + ".jpg", b"1"), ("0.json", as_json(name="Ann")), ("0.jpg", b"2")]
    changed = bytearray(write(path, *files, format_=tarfile.PAX_FORMAT).read_bytes())
    for _ in range(3):
        changed[data.draw(st.integers(0, 5000))] = data.draw(st.integers(0, 255))
    path.write_bytes(changed)
    with contextlib.suppress(SourceError):
        listing(path)


@pytest.mark.parametrize(
    "content", [b"{", b"[1]", b"\xff", b"[" * 100_000, b" " * (1 << 20) + b"{}", as_json(name=["Ann"])]
)
def test_json_that_makes_no_sense_rejects_its_photo(tmp_path: Path, content: bytes) -> None:
    files = [("0.jpg", b"1"), ("0.json", content), ("1.jpg", b"2"), ("1.json", as_json(name="Bob"))]
    rows = listing(write(tmp_path / "x.tar", *files))
    assert [(row["key"], row["reject"]) for row in rows] == [
        ("x.tar/0.jpg", Reject.BAD_ROW),
        ("x.tar/1.jpg", None),
    ]


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tgz", "x.tar"])
def test_a_compressed_tar_ends_in_a_sentence_with_a_way_out(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / name, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("0.jpg"))
    with pytest.raises(SourceError, match="gunzip"):
        open_tars([tmp_path / name], ColumnNames())


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 5000, bytes(1024), header("0.txt") + END])
def test_what_is_no_tar_with_photos_ends_in_a_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(SourceError, match=r"x\.tar"):
        open_tars([tmp_path / "x.tar"], ColumnNames())


def test_a_missing_tar_ends_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot read"):
        open_tars([tmp_path / "x.tar"], ColumnNames())


def test_memory_does_not_grow_with_the_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facerefs.stages.sources.lists.list_rows._ROWS_PER_TABLE", 1000)
    path = write(tmp_path / "x.tar", ("0.jpg", b"1"))
    assert len(listing(path)) == 1  # imports are not to be measured
    peaks = []
    for count in (2_000, 7_000):
        path.write_bytes(b"".join(header(f"{i}.jpg") for i in range(count)) + END)
        source = open_tars([path], ColumnNames())
        tracemalloc.start()
        assert sum(len(table) for table in source.rows()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100 * 5_000  # bytes a row, of which some 40 stay after the first pass


def test_a_name_that_is_no_text_can_be_read_again(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\\.jpg")
    path = write(tmp_path / "x.tar", (name, b"1"))
    (row,) = listing(path)
    assert path_of_text(row["key"]) == f"x.tar/{name}"
