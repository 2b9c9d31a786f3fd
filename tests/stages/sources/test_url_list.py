"""Lists of URLs: every format gives the same rows, and errors in a row or a list are reported."""

import bz2
import csv
import gzip
import io
import json
import lzma
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.lists.url_list import open_url_lists
from facerefs.stages.sources.source import SourceError

Row = dict[str, Any]


def listing(path: Path | str, **columns: str) -> list[Row]:
    tables = list(open_url_lists([str(path)], ColumnNames(**columns)).rows())
    assert all(table.schema == SOURCES and 0 < len(table) <= 10_000 for table in tables)
    rows: list[Row] = pa.concat_tables(tables).to_pylist()
    assert len({row["key"] for row in rows}) == len(rows)
    return rows


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def annotations_of(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None}


# ---- what a row becomes


def test_the_files_of_facescrub_are_read_as_published(tmp_path: Path) -> None:
    path = write(
        tmp_path / "facescrub_actors.txt",
        "name\timage_id\tface_id\turl\tbbox\tsha256\n"
        f"Aaron Eckhart\t1\t1\thttp://a.example/x.jpg\t53,177,418,542\t{'AB' * 32}\n",
    )
    (row,) = listing(path)
    assert annotations_of(row) == {
        "key": "Aaron Eckhart/http://a.example/x.jpg#xywh=53,177,365,365",
        "url": "http://a.example/x.jpg",
        "label": "Aaron Eckhart",
        "box": [53, 177, 418, 542],
        "sha256": "ab" * 32,
        "provenance": '{"face_id": "1", "image_id": "1"}',
    }


def test_columns_are_found_by_their_usual_names(tmp_path: Path) -> None:
    path = write(
        tmp_path / "l.csv",
        "Image URL,Celebrity,License,foreign_landing_url,Creator,caption\nhttp://a/1,Ann,CC0,http://p/,Bob,Zoë\n",
    )
    (row,) = listing(path)
    assert (row["url"], row["label"], row["licence"]) == ("http://a/1", "Ann", "CC0")
    assert (row["page"], row["attribution"]) == ("http://p/", "Bob")
    assert row["provenance"] == '{"caption": "Zoë"}'


def test_columns_can_be_named_and_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", "IMG,name,label,bbox\nhttp://a/1,Ann,7,nowhere\n")
    (row,) = listing(path, url="IMG", identity="name", bbox="none")
    assert (row["url"], row["label"]) == ("http://a/1", "Ann")
    assert row["provenance"] == '{"bbox": "nowhere", "label": "7"}'


def test_a_row_needs_no_label_and_no_box(tmp_path: Path) -> None:
    rows = listing(write(tmp_path / "l.csv", "url,name,bbox\nhttp://a/1,,\nhttp://a/2, Ann ,\n"))
    assert [row["key"] for row in rows] == ["http://a/1", "Ann/http://a/2"]
    assert [row["label"] for row in rows] == [None, "Ann"]


BOXES: list[Any] = ["1,2,3.5,4", "1 2 3.5 4", "1|2|3.5|4", "[1, 2, 3.5, 4]", "(1;2;3.5;4)", [1, 2, 3.5, 4]]
BOXES += [{"left": 1, "top": 2, "right": 3.5, "bottom": 4}, {"x1": 1, "y1": 2, "x2": 3.5, "y2": 4}]
BOXES += [{"x": 1, "y": 2, "w": 2.5, "h": 2}, {"left": 1, "top": 2, "width": 2.5, "height": 2}]


@pytest.mark.parametrize("box", BOXES)
def test_boxes_are_read_in_every_form(tmp_path: Path, box: object) -> None:
    (row,) = listing(write(tmp_path / "l.jsonl", json.dumps({"url": "http://a", "bbox": box})))
    assert row["box"] == [1, 2, 3.5, 4]
    assert row["key"] == "http://a#xywh=1,2,2.5,2"


@pytest.mark.parametrize(
    "broken",
    [
        {"bbox": "1,2,3"},
        {"bbox": "1,2,3,4,5"},
        {"bbox": "3,2,1,4"},
        {"bbox": "1,2,1,4"},
        {"bbox": "nan,0,1,1"},
        {"bbox": "0,0,1e999,1"},
        {"bbox": "0,0,1e300,1"},
        {"bbox": "a,b,c,d"},
        {"bbox": 7},
        {"bbox": [1, 2, 3, 10**400]},
        {"bbox": [[1, 2, 3, 4]]},
        {"bbox": {"x": 1}},
        {"bbox": "\ud800"},
        {"url": ""},
        {"url": None},
        {"url": "http://a/" + "x" * 8200},
        {"url": "http://a/\ud800"},
        {"url": ["http://a"]},
        {"name": "x" * 1025},
        {"name": {"first": "Ann"}},
        {"sha256": "abc"},
        {"sha256": "g" * 64},
        {"caption": "x" * 70_000},
        {"caption": "\udfff"},
    ],
)
def test_a_row_that_makes_no_sense_is_rejected_and_the_next_is_not(tmp_path: Path, broken: Row) -> None:
    lines = [{"url": "http://a"} | broken, {"url": "http://b"}]
    names = {"bbox": "bbox", "sha256": "sha256", "identity": "name"}
    both = "".join(json.dumps({"bbox": "", "sha256": "", "name": ""} | line) + "\n" for line in lines)
    bad, good = listing(write(tmp_path / "l.jsonl", both), **names)
    assert (bad["key"], bad["reject"]) == ("row 1", Reject.BAD_ROW)
    assert bad["reject_detail"]
    assert (good["key"], good["reject"]) == ("http://b", None)


@pytest.mark.parametrize(
    "text", ["nul \0", "\x1b[31mred", "\u202eright to left", "line\nbreak", "e\u0301", "a/b", "row 1"]
)
def test_odd_text_is_kept_as_it_is(tmp_path: Path, text: str) -> None:
    (row,) = listing(write(tmp_path / "l.jsonl", json.dumps({"url": "http://a", "name": text, "more": text})))
    assert row["label"] == text
    assert json.loads(row["provenance"]) == {"more": text}


def test_a_row_that_is_listed_twice_is_rejected(tmp_path: Path) -> None:
    rows = ["http://a,Ann", "http://a,Bob", "http://a,Ann", "http://a,Ann"]
    found = listing(write(tmp_path / "l.csv", "url,name\n" + "\n".join(rows)))
    assert [row["key"] for row in found] == [
        *("Ann/http://a", "Bob/http://a", "Ann/http://a (row 3)", "Ann/http://a (row 4)"),
    ]
    assert [row["reject"] for row in found] == [None, None, Reject.LISTED_TWICE, Reject.LISTED_TWICE]


def test_keys_stay_unique_where_a_list_imitates_them(tmp_path: Path) -> None:
    urls = ["x", "x (row 3)", "x", "x (row 3)", "x (row 3) (row 3)", "row 6", "", "row 7", "http://a"]
    assert len(listing(write(tmp_path / "l.csv", "url,a\n" + "".join(f"{url},b\n" for url in urls)))) == len(
        urls
    )


def test_two_boxes_in_one_photo_are_two_rows(tmp_path: Path) -> None:
    found = listing(write(tmp_path / "l.csv", 'url,bbox\nhttp://a,"0,0,1,1"\nhttp://a,"0,0,1,2"\n'))
    assert [row["reject"] for row in found] == [None, None]


# ---- formats

NAMES = ["url", "name", "bbox", "caption", "when"]
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES_OF_TSV = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n"), max_size=12)
LAST = {"url": "http://a", "name": "Ann", "bbox": "", "caption": "", "when": ""}


def as_csv(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, NAMES)
        writer.writeheader()
        writer.writerows(rows)


def as_tsv(path: Path, rows: list[Row]) -> None:
    lines = [NAMES, *([row[name] for name in NAMES] for row in rows)]
    write(path, "".join("\t".join(row) + "\n" for row in lines))


def rows_of(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[Row]]:
    rows = st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, values)), min_size=1, max_size=5)
    return rows.map(lambda some: [*some, LAST])


@settings(max_examples=60, deadline=None)
@given(rows_of(VALUES))
def test_all_formats_give_the_same_rows(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    folder = tmp_path_factory.mktemp("l")
    as_csv(folder / "l.csv", rows)
    write(folder / "l.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), folder / "l.parquet")
    expected = listing(folder / "l.jsonl")
    assert len(expected) == len(rows)
    for name in ("l.csv", "l.parquet"):
        assert listing(folder / name) == expected


@settings(max_examples=60, deadline=None)
@given(rows_of(VALUES_OF_TSV))
def test_in_tsv_a_quotation_mark_is_a_character(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    folder = tmp_path_factory.mktemp("l")
    as_tsv(folder / "l.tsv", rows)
    write(folder / "l.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert listing(folder / "l.tsv") == listing(folder / "l.jsonl")


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


CODECS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
CODECS |= {".zst": zstd, "": bytes}


@pytest.mark.parametrize("ending", CODECS)
@pytest.mark.parametrize("name", ["l.csv", "l.txt", "l.jsonl"])
def test_lists_may_be_compressed(tmp_path: Path, name: str, ending: str) -> None:
    lines = {"l.csv": "url\nhttp://a\n", "l.txt": "http://a\n", "l.jsonl": '{"url": "http://a"}\n'}
    path = write(tmp_path / (name + ending), CODECS[ending](lines[name].encode()))
    assert [row["url"] for row in listing(path)] == ["http://a"]


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst"])
def test_a_list_that_breaks_off_or_is_not_compressed_ends_in_a_sentence(tmp_path: Path, ending: str) -> None:
    text = "url,x\n" + "".join(f"http://a/{i * 7919 % 9973},{i}\n" for i in range(50_000))
    whole = CODECS[ending](text.encode())
    for data in (whole[: len(whole) // 2], b"url\nhttp://a\n", b""):
        with pytest.raises(SourceError, match=r"l\.csv"):
            listing(write(tmp_path / f"l.csv{ending}", data))


def test_a_list_may_lie_at_an_address_of_fsspec() -> None:
    address = "memory://lists/l.csv.gz"
    with fsspec.open(address, "wb") as file:
        file.write(gzip.compress(b"url\nhttp://a\n"))
    assert [row["url"] for row in listing(address)] == ["http://a"]
    assert open_url_lists([address], ColumnNames()).name == address
    with fsspec.open("memory://lists/l.parquet", "wb") as file:
        pq.write_table(pa.table({"url": ["http://b"]}), file)
    assert [row["url"] for row in listing("memory://lists/l.parquet")] == ["http://b"]


@pytest.mark.parametrize("address", ["memory://no/such.csv", "nosuchscheme://x/l.csv"])
def test_an_address_without_a_list_ends_in_a_sentence(address: str) -> None:
    with pytest.raises(SourceError):
        open_url_lists([address], ColumnNames())


def test_text_with_bom_crlf_and_line_breaks_in_quotes(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbfurl,note\r\n\r\n  \r\nhttp://a,"two\r\nlines, ""quoted"""\r\n"http://b",\r\n'
    first, second = listing(write(tmp_path / "l.csv", text))
    assert (first["url"], second["url"]) == ("http://a", "http://b")
    assert json.loads(first["provenance"]) == {"note": 'two\r\nlines, "quoted"'}


@pytest.mark.parametrize("header", ["url;name", "url\tname"])
def test_a_csv_may_be_separated_as_spreadsheets_do(tmp_path: Path, header: str) -> None:
    (row,) = listing(write(tmp_path / "l.csv", f"{header}\nhttp://a,b{header[3]}Ann\n"))
    assert (row["url"], row["label"]) == ("http://a,b", "Ann")


@pytest.mark.parametrize(
    "line",
    [
        b"http://b",
        b"http://b,x,y",
        b"http://b,\xff\xfe",
        b'http://b,"x"y',
        b"http://b,x\ry",
        b'http://b,"' + b"x" * 140_000 + b'"',
        b"http://b," + b"x" * (3 << 20),
        b"," * (2 << 20),
        b'"' + b'x","\n' * 30_000 + b'",x',
    ],
    ids=["few", "many", "utf-8", "quote", "cr", "field", "line", "fields", "record"],
)
def test_a_broken_line_is_one_bad_row(tmp_path: Path, line: bytes) -> None:
    rows = listing(write(tmp_path / "l.csv", b"url,x\nhttp://a,1\n" + line + b"\nhttp://c,1\n"))
    assert rows[0]["url"] == "http://a"
    assert rows[-1]["url"] == "http://c"
    assert rows[1]["key"] == "row 2"
    assert {row["reject"] for row in rows[1:-1]} == {Reject.BAD_ROW}


@pytest.mark.parametrize("name", ["l.csv", "l.txt"])
@pytest.mark.parametrize("opened", ['"http://b,x', 'http://b,"x', 'http://b,"x""', '"http://b","x'])
@pytest.mark.parametrize("then", ["", 'http://c,"Al, Jr"\n', 'http://c,Dwayne"\n', 'http://c,"open\n'])
def test_a_quote_that_never_ends_costs_one_row(tmp_path: Path, name: str, opened: str, then: str) -> None:
    good = "".join(f"http://a/{i},x\n" for i in range(3000))
    rows = listing(write(tmp_path / name, f"url,name\n{opened}\n{good}{then}{good}"))
    broken = 2 if "open" in then else 1
    assert [row["reject"] for row in rows if row["reject"] != Reject.LISTED_TWICE].count(
        Reject.BAD_ROW
    ) == broken
    assert (rows[0]["key"], rows[0]["reject"]) == ("row 1", Reject.BAD_ROW)
    assert "line 2" in rows[0]["reject_detail"]
    assert [row["url"] for row in rows if row["reject"] is None][:3000] == [
        f"http://a/{i}" for i in range(3000)
    ]
    assert len(rows) == 6001 + (then != "")


LABELS = st.sampled_from(["Ann", 'Bob "B" Ray', "Al, Jr", '"Q"', ""])
TEXTS = LABELS | st.sampled_from(["two\nlines, text", "http://x, y", "a,\n\nb"])


@settings(max_examples=150, deadline=None)
@given(
    st.permutations(["url", "name", "caption", "n"]),
    st.lists(
        st.tuples(st.sampled_from(["quoted", "literal", 0, 1, 2, 3]), LABELS, TEXTS), min_size=1, max_size=8
    ),
)
def test_open_quotes_cost_their_own_rows_only(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], kinds: list[tuple[str | int, str, str]]
) -> None:
    out = io.StringIO()
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    labels = {"http://a/last": "Ann"}
    for i, (kind, name, caption) in enumerate(kinds):
        row = {"url": f"http://a/{i}", "name": name, "caption": caption, "n": str(i)}
        if kind == "quoted":
            writer.writerow(row)
            labels[row["url"]] = name
        else:
            row |= (
                {"name": 'Al "Rock"', "caption": ""} if kind == "literal" else {"name": "Cy", "caption": "x"}
            )
            fields = [f'"{row[name]}' if number == kind else row[name] for number, name in enumerate(names)]
            out.write(",".join(fields) + "\r\n")
            labels |= {row["url"]: row["name"]} if kind == "literal" else {}
    writer.writerow({"url": "http://a/last", "name": "Ann", "caption": "", "n": ""})
    rows = listing(write(tmp_path_factory.mktemp("l") / "l.csv", out.getvalue()))
    assert {row["url"]: row["label"] or "" for row in rows if row["reject"] is None} == labels
    assert len(rows) == len(kinds) + 1


def test_a_list_of_one_open_quote_is_one_bad_row(tmp_path: Path) -> None:
    (end,) = listing(write(tmp_path / "l.csv", 'url,x\n"http://b,x\n'))
    assert end["reject"] == Reject.BAD_ROW
    assert "a quotation mark opens in it and does not close" in end["reject_detail"]


def test_a_record_of_many_lines_with_too_many_fields_does_not_hide_rows(tmp_path: Path) -> None:
    rows = listing(write(tmp_path / "l.csv", 'url,name,n\nhttp://a,"x\nmore\n",y,z\nhttp://c,Ann,1\n'))
    assert [row["url"] for row in rows if row["reject"] is None] == ["http://c"]
    assert "line 2 has 4 fields, the header has 3" in rows[0]["reject_detail"]


def test_line_breaks_in_quotes_are_read_also_if_they_look_alike(tmp_path: Path) -> None:
    note = "one, two\nsee http://x.example, three\n\n" + "line\n" * 300
    text = f'url,note,name\nhttp://a,"{note}",Ann\nhttp://b,"""Q""","Weird ""Al"" Yankovic"\n'
    first, second = listing(write(tmp_path / "l.csv", text))
    assert (first["label"], json.loads(first["provenance"])["note"]) == ("Ann", note)
    assert (second["label"], json.loads(second["provenance"])["note"]) == ('Weird "Al" Yankovic', '"Q"')


def test_a_hostile_list_of_quotes_takes_no_longer_than_another(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", "url,x\n" + 'x","y\n' * 5_000 + "http://a,1\n")
    started = time.process_time()
    assert listing(path)[-1]["url"] == "http://a"
    assert time.process_time() - started < 3


def test_a_tsv_whose_quotes_quote_nothing_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "l.tsv", 'url\tname\nhttp://a\t"Weird Al\nhttp://b\t"Ann"\nhttp://c\tBob\n')
    assert [row["label"] for row in listing(path)] == ['"Weird Al', '"Ann"', "Bob"]
    assert "1 of 3 rows have a value in quotation marks" in notes(path)


def test_a_tsv_of_which_even_the_header_is_quoted_is_read_so(tmp_path: Path) -> None:
    path = write(
        tmp_path / "l.tsv",
        '"url"\t"name"\n"http://a"\t"Dwayne ""Rock"" J"\n"http://b"\t"Al\n"http://c"\t"Cy"\n',
    )
    assert [(row["label"], row["reject"]) for row in listing(path)] == [
        ('Dwayne "Rock" J', None),
        (None, Reject.BAD_ROW),
        ("Cy", None),
    ]


def notes(path: Path, **columns: str) -> str:
    source = open_url_lists([str(path)], ColumnNames(**columns))
    assert list(source.rows())
    return "\n".join(source.notes)


@pytest.mark.parametrize(
    "line", ["[1]", "7", "{", '{"url": NaN}', "[" * 100_000, "\xff", '{"url": ' + "9" * 5000 + "}"]
)
def test_a_line_that_is_no_object_is_one_bad_row(tmp_path: Path, line: str) -> None:
    path = write(
        tmp_path / "l.jsonl", b'{"url": "http://a"}\n' + line.encode("latin-1") + b'\n{"url": "http://c"}\n'
    )
    rows = listing(path)
    assert [row["reject"] for row in rows] == [None, Reject.BAD_ROW, None]


def test_deeply_nested_provenance_is_one_bad_row(tmp_path: Path) -> None:
    nested = '{"url": "http://a", "x": ' + "[" * 900 + "]" * 900 + "}"
    assert len(listing(write(tmp_path / "l.jsonl", nested))) == 1


def test_json_lines_may_differ_in_their_names(tmp_path: Path) -> None:
    text = '{"x": 1}\n\n{"url": "http://a", "tags": ["b", null, 1.5]}\n{"name": "Ann", "url": "http://b"}\n'
    bad, first, second = listing(write(tmp_path / "l.ndjson", text))
    assert bad["reject"] == Reject.BAD_ROW
    assert first["provenance"] == '{"tags": ["b", null, 1.5]}'
    assert second["label"] == "Ann"


def test_json_lines_are_not_decided_by_their_first_rows(tmp_path: Path) -> None:
    early = "".join(json.dumps({"url": f"http://a/{i}"}) + "\n" for i in range(150))
    late = json.dumps({"url": "http://b", "name": "Ann", "who": "Bob"}) + "\n"
    path = write(tmp_path / "l.jsonl", early + late)
    assert (listing(path)[-1]["label"], listing(path)[-1]["provenance"]) == ("Ann", '{"who": "Bob"}')
    assert listing(path, identity="who")[-1]["label"] == "Bob"
    assert "150 of 151 photos have no name, such as http://a/0" in notes(path)
    with pytest.raises(SourceError, match=r"no column `persn`"):
        listing(path, identity="persn")


def test_json_lines_whose_first_rows_lack_a_url(tmp_path: Path) -> None:
    early = '{"name": "Ann"}\n' * 150
    rows = listing(write(tmp_path / "l.jsonl", early + '{"name": "Ann", "url": "http://a"}\n'))
    assert [row["reject"] for row in rows] == [*[Reject.BAD_ROW] * 150, None]


def test_json_lines_with_two_names_are_asked_about_or_rejected(tmp_path: Path) -> None:
    two = '{"url": "http://b", "name": "Ann", "label": 7}\n'
    with pytest.raises(SourceError, match=r"columns\.identity=name"):
        listing(write(tmp_path / "l.jsonl", two))
    late = "".join(json.dumps({"url": f"http://a/{i}"}) + "\n" for i in range(150)) + two
    assert listing(write(tmp_path / "l.jsonl", late))[-1]["reject"] == Reject.BAD_ROW


NO_NAMES = ["", " ", "nan", "NaN", "None", "null", "NULL", "N/A", "<NA>"]


def test_what_programs_write_for_no_name_is_no_person(tmp_path: Path) -> None:
    lines = "".join(f"http://a/{i},{name}\n" for i, name in enumerate(NO_NAMES))
    path = write(tmp_path / "l.csv", f"url,name\n{lines}http://b,Nan Goldin\n")
    assert [row["label"] for row in listing(path)] == [*[None] * len(NO_NAMES), "Nan Goldin"]
    assert "9 of 10 photos have no name" in notes(path)
    assert "7 of 10 labels mean that there is no name, such as `nan`" in notes(path)


def test_a_number_is_one_person_with_and_without_its_point(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", "url,name,bbox\nhttp://a,1.0,nan\nhttp://b,1,\nhttp://c,1.5,\n")
    assert [row["label"] for row in listing(path)] == ["1", "1", "1.5"]
    assert "1 of 3 labels are numbers with a point, read without it, such as `1.0`, as 1" in notes(path)


@pytest.mark.parametrize(
    "text",
    [
        "url|name\nhttp://a|Ann\n",
        "sep=;\nurl;name\nhttp://a;Ann\n",
        "\ufeffURL;NAME;caption, long\nhttp://a;Ann;x, y\n",
    ],
)
def test_separators_are_found(tmp_path: Path, text: str) -> None:
    (row,) = listing(write(tmp_path / "l.csv", text))
    assert (row["url"], row["label"]) == ("http://a", "Ann")


@pytest.mark.parametrize("name", ["l.csv", "l.txt", "l.jsonl", "l.tsv"])
@pytest.mark.parametrize("data", [b"url\rhttp://a\r", "url\nhttp://a\n".encode("utf-16-le")])
def test_text_that_cannot_be_read_ends_in_a_sentence(tmp_path: Path, name: str, data: bytes) -> None:
    with pytest.raises(SourceError, match="save"):
        listing(write(tmp_path / name, data))


def test_parquet_keeps_what_is_no_text_as_json(tmp_path: Path) -> None:
    table = pa.table(
        {
            "URL": ["http://a"],
            "label": pa.array([5.0]),
            "bbox": [[0.0, 0.0, 1.0, 1.0]],
            "hash": [-7],
            "score": [float("nan")],
            "when": pa.array([0], pa.timestamp("us")),
            "embedding": [b"\xff"],
            "nested": [{"a": [1, float("inf")]}],
        }
    )
    pq.write_table(table, tmp_path / "l.parquet")
    (row,) = listing(tmp_path / "l.parquet")
    assert (row["label"], row["box"]) == ("5", [0, 0, 1, 1])
    assert json.loads(row["provenance"]) == {
        "hash": -7,
        "when": "1970-01-01 00:00:00",
        "nested": {"a": [1, None]},
    }


def test_parquet_with_urls_in_bytes_and_names_in_classes(tmp_path: Path) -> None:
    metadata = {"info": {"features": {"label": {"names": ["Ann", "Bob"], "_type": "ClassLabel"}}}}
    table = pa.table({"url": [b"http://a", b"\xff", b"http://b"], "label": [1, 0, 0]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(table, tmp_path / "l.parquet")
    rows = listing(tmp_path / "l.parquet")
    assert [(row["url"], row["label"]) for row in rows] == [
        ("http://a", "Bob"),
        (None, None),
        ("http://b", "Ann"),
    ]
    assert rows[1]["reject"] == Reject.BAD_ROW


# ---- lists of paths


def photos_in(folder: Path) -> Path:
    (folder / "sub").mkdir()
    write(folder / "sub" / "1.jpg", b"photo")
    write(folder / "a:1.jpg", b"photo")
    write(folder / "no ending", b"\xff\xd8\xff\xe0")
    write(folder / "text", b"no photo")
    return folder


@pytest.mark.parametrize("column", ["url", "path", "file_name", "Image Path", "image"])
def test_a_list_may_name_photos_by_their_paths(tmp_path: Path, column: str) -> None:
    photo = photos_in(tmp_path) / "sub" / "1.jpg"
    paths = ["sub/1.jpg", str(photo), photo.as_uri(), "sub\\1.jpg", "a:1.jpg", "./sub/../no ending"]
    rows = listing(write(tmp_path / "l.csv", f"{column},name\n" + "".join(f"{path},Ann\n" for path in paths)))
    assert [(row["label"], row["url"], row["reject"]) for row in rows] == [("Ann", None, None)] * 6
    assert [row["photo"]["length"] for row in rows] == [5, 5, 5, 5, 5, 4]
    assert Path(rows[0]["photo"]["path"]).samefile(photo)
    assert rows[0]["modified_ns"] == photo.stat().st_mtime_ns
    assert rows[0]["key"] == "Ann/sub/1.jpg"


def test_a_txt_of_several_columns_without_a_header_is_remarked_on(tmp_path: Path) -> None:
    assert "2 of 3 URLs have a comma" in notes(
        write(tmp_path / "l.txt", "http://a,Ann\nhttp://b Bob\nhttp://c\n")
    )


def test_a_txt_may_have_a_header_as_csv_has_it(tmp_path: Path) -> None:
    photos_in(tmp_path)
    for text in ("url,name\nhttp://a,Ann\n", "Name;Image Path\nAnn;sub/1.jpg\n"):
        (row,) = listing(write(tmp_path / "l.txt", text))
        assert (row["label"], row["reject"]) == ("Ann", None)


@pytest.mark.parametrize("name", ["l.txt", "l.jsonl"])
def test_urls_and_paths_may_stand_in_one_list(tmp_path: Path, name: str) -> None:
    photos_in(tmp_path)
    lines = ["http://a/1.jpg", "sub/1.jpg", "sub/2.jpg", "text", "file:///etc/passwd", "www.a.example/1.jpg"]
    text = "".join(f"{line}\n" if name == "l.txt" else json.dumps({"url": line}) + "\n" for line in lines)
    path = write(tmp_path / name, text)
    rows = listing(path)
    assert [(row["url"], row["photo"] is None, row["reject"]) for row in rows] == [
        ("http://a/1.jpg", True, None),
        (None, False, None),
        (None, True, Reject.UNREADABLE),
        (None, True, Reject.UNREADABLE),
        ("file:///etc/passwd", True, None),  # fetch refuses it
        (None, True, Reject.UNREADABLE),
    ]
    assert "1 of 6 photos are files on this machine, such as sub/1.jpg" in notes(path)
    assert "3 of 6 rows are rejected as unreadable, such as sub/2.jpg: there is no photo" in notes(path)


@pytest.mark.parametrize(
    "paths", [["sub/2.jpg", "3.jpg"], ["s3://bucket/a.jpg"], ["file:///etc/passwd"], ["0001/5"]]
)
def test_a_list_of_which_no_photo_can_be_had_ends_in_a_sentence(tmp_path: Path, paths: list[str]) -> None:
    text = "url,name\n" + "".join(f"{path},Ann\n" for path in paths)
    with pytest.raises(SourceError, match=r"no photo of .*l\.csv can be had: .*--identities") as caught:
        listing(write(tmp_path / "l.csv", text))
    assert paths[0] in str(caught.value)


def test_a_list_from_elsewhere_reads_no_file_of_ours(tmp_path: Path) -> None:
    photo = photos_in(tmp_path) / "sub" / "1.jpg"
    with fsspec.open("memory://lists/paths.csv", "wb") as file:
        file.write(f"url\nhttp://a\n{photo}\n{photo.as_uri()}\n".encode())
    assert [row["photo"] for row in listing("memory://lists/paths.csv")] == [None] * 3


def test_two_columns_of_paths_are_asked_about_and_a_url_goes_first(tmp_path: Path) -> None:
    photos_in(tmp_path)
    with pytest.raises(SourceError, match=r"columns\.url=file"):
        listing(write(tmp_path / "l.csv", "file,image,name\nsub/1.jpg,sub/1.jpg,Ann\n"))
    (row,) = listing(write(tmp_path / "l.csv", "file,link,name\nsub/1.jpg,http://a,Ann\n"))
    assert (row["url"], row["photo"]) == ("http://a", None)


def test_parquet_text_that_is_no_utf8_is_one_bad_row(tmp_path: Path) -> None:
    urls = pa.array([b"http://a", b"\xff", b"http://c"]).view(pa.string())
    pq.write_table(pa.table({"url": urls}), tmp_path / "l.parquet")
    assert [row["reject"] for row in listing(tmp_path / "l.parquet")] == [None, Reject.BAD_ROW, None]


def test_damaged_parquet_ends_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "l.parquet"
    pq.write_table(pa.table({"url": [f"http://a/{i}" for i in range(20_000)]}), path, row_group_size=5000)
    whole = path.read_bytes()
    for data in (whole[:-20], b"", b"PAR1", whole[:4] + b"\xff" * 2000 + whole[2004:]):
        with pytest.raises(SourceError, match=r"l\.parquet"):
            listing(write(path, data))


# ---- the list as a whole


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("l.csv", "", "no row"),
        ("l.csv", "url,name\n", "no row"),
        ("l.csv", "\n\n", "no row"),
        ("l.jsonl", "\n", "no row"),
        ("l.csv", "a,b\n1,2\n", "columns.url"),
        ("l.csv", "http://a/1,Ann\nhttp://a/2,Ann\n", "begins with a URL"),
        ("l.csv", "url,url\nhttp://a,http://b\n", "two columns `url`"),
        ("l.csv", "url,link\nhttp://a,http://b\n", "columns.url=url"),
        ("l.csv", "url,name,label\nhttp://a,b,c\n", "columns.identity=name"),
        ("l.csv", "x" * (2 << 20), "header"),
        ("l.csv", "url" + "," * 500_000 + "\n", "500001 columns"),
        ("l.jsonl", '{"a": 1}\n', "columns.url"),
        ("l.jsonl", '{"\\ud800": 1}\n', "columns.url"),
        ("l.csv", "url,name\rhttp://a,Ann\r", "header of .* carriage return .* save the list with LF"),
        ("l.xlsx", "url\nhttp://a\n", "no list that we know"),
        ("l.parquet.gz", "", "unpack"),
    ],
)
def test_a_list_that_cannot_be_used_ends_in_a_sentence(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        open_url_lists([str(write(tmp_path / name, text))], ColumnNames())
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


def test_utf16_is_named(tmp_path: Path) -> None:
    for name in ("l.csv", "l.txt"):
        with pytest.raises(SourceError, match="UTF-16"):
            listing(write(tmp_path / name, "url\nhttp://a\n".encode("utf-16")))


def test_a_column_that_is_not_there_names_the_closest_first(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", "url,person,note\nhttp://a,b,c\n")
    with pytest.raises(SourceError, match=r"no column `persn`.*it has `person`"):
        open_url_lists([str(path)], ColumnNames(identity="persn"))


def test_a_missing_file_and_a_folder_end_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("missing.csv", "folder.csv"):
        with pytest.raises(SourceError, match=name):
            open_url_lists([str(tmp_path / name)], ColumnNames())


def test_several_lists_are_read_as_one(tmp_path: Path) -> None:
    write(tmp_path / "b.txt", "name\turl\nAnn\thttp://a\nAnn\n")
    write(tmp_path / "a.csv", "url,name\nhttp://a,Ann\nhttp://b\n")
    write(tmp_path / "empty.csv", "url\n")
    source = open_url_lists([str(tmp_path / name) for name in ("b.txt", "empty.csv", "a.csv")], ColumnNames())
    assert source.name == str(tmp_path)
    rows = pa.concat_tables(source.rows()).to_pylist()
    assert [(row["key"], row["reject"]) for row in rows] == [
        ("Ann/http://a", None),
        ("a.csv row 2", Reject.BAD_ROW),
        ("Ann/http://a (b.txt row 1)", Reject.LISTED_TWICE),
        ("b.txt row 2", Reject.BAD_ROW),
    ]


def test_the_same_list_is_read_the_same_again(tmp_path: Path) -> None:
    source = open_url_lists(
        [str(write(tmp_path / "l.txt", "http://a\n\nhttp://b\nhttp://a\n"))], ColumnNames()
    )
    first, again = (pa.concat_tables(source.rows()) for _ in range(2))
    assert first.equals(again)
    assert source.name == str(tmp_path / "l.txt")


def peak_bytes(path: Path) -> int:
    source = open_url_lists([str(path)], ColumnNames())
    tracemalloc.start()
    try:
        assert all(len(table) <= 10_000 for table in source.rows())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["l.csv.gz", "l.jsonl", "l.parquet"])
def test_memory_does_not_grow_with_the_list(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facerefs.stages.sources.lists.list_rows._ROWS_PER_TABLE", 1000)
    peaks = []
    for count in (10, 3_000, 18_000):  # the first only imports what is imported late
        urls = [f"http://host{i % 97}.example/{i}.jpg" for i in range(count)]
        if name.endswith("parquet"):
            pq.write_table(pa.table({"url": urls}), tmp_path / name)
        elif name.endswith("jsonl"):
            write(tmp_path / name, "".join(f'{{"url": "{url}"}}\n' for url in urls))
        else:
            write(tmp_path / name, gzip.compress(("url,x\n" + ",\n".join(urls) + ",\n").encode(), 1))
        peaks.append(peak_bytes(tmp_path / name))
    assert peaks[2] < peaks[1] + 24 * 15_000  # bytes a row, while two runs of hashes are merged


def test_rows_of_full_length_make_smaller_tables(tmp_path: Path) -> None:
    line = json.dumps({"url": "http://a/{}", "caption": "x" * 60_000}) + "\n"
    path = write(tmp_path / "l.jsonl", "".join(line.replace("{}", str(i)) for i in range(500)))
    assert max(len(table) for table in open_url_lists([str(path)], ColumnNames()).rows()) < 200


def test_a_password_in_a_url_goes_no_further_than_the_list(tmp_path: Path) -> None:
    path = write(
        tmp_path / "list.csv",
        "name,url,page\nAnn,https://u:secret@a.example/x.jpg?a=b@c,HTTP://u@a.example\n",
    )
    (row,) = listing(path)
    assert "secret" not in str(row)
    assert (row["url"], row["page"]) == ("https://***@a.example/x.jpg?a=b@c", "HTTP://***@a.example")
