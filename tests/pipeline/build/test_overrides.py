"""`overrides.csv`: what is understood, what is refused in one sentence, and which lines match nothing."""

import io
import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from facerefs.pipeline.build import overrides
from facerefs.pipeline.build.overrides import FILE, Override, read, relevant_to, update
from facerefs.pipeline.build.warnings import warn_about_unmatched_overrides
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import TABLES, loaded
from tests.pipeline.commands.test_cli import facerefs, refused

A, B = "0123456789abcdef-0", "fedcba9876543210-1"
PHOTO, OTHER_PHOTO = "ab" * 32, "cd" * 32
HEADER = "decision,what,other,comment\n"


def read_lines(folder: Path, text: str | bytes, header: str = HEADER) -> list[Override]:
    data = text if isinstance(text, bytes) else (header + text).encode()
    (folder / FILE).write_bytes(data)
    return read(Storage(str(folder)))


def rows(storage: Storage) -> pa.Table:
    return storage.scan("overrides", ("line", "decision", "what", "other"))


def test_without_a_file_there_are_no_lines(tmp_path: Path) -> None:
    assert read(Storage(str(tmp_path))) == []
    update(Storage(str(tmp_path)), read(Storage(str(tmp_path))))
    assert len(Storage(str(tmp_path)).scan("overrides")) == 0


def test_every_form_of_every_decision_is_understood(tmp_path: Path) -> None:
    lines = [
        ("keep", A, None), ("keep", PHOTO, None), ("keep", "ann/1.jpg", None), ("keep", A, B),
        ("drop", A, None), ("drop", "ann", None), ("same", A, "ann"), ("same", "ann", "anna, née Bo"),
        ("different", A, B), ("different", "ann", A), ("copy", A, B), ("copy", PHOTO, "b.jpg"),
    ]  # fmt: skip
    text = "".join(f'{decision},{what},"{other or ""}",a comment\n' for decision, what, other in lines)
    expected = [Override(i, *line) for i, line in enumerate(lines, 2)]
    assert read_lines(tmp_path, text) == expected
    update(Storage(str(tmp_path)), read(Storage(str(tmp_path))))
    assert {line.comment for line in read(Storage(str(tmp_path)))} == {"a comment"}
    without_comments = [
        {name: value for name, value in vars(line).items() if name != "comment"} for line in expected
    ]
    assert rows(Storage(str(tmp_path))).to_pylist() == without_comments


def test_blank_lines_comments_missing_commas_and_other_line_ends_do_not_matter(tmp_path: Path) -> None:
    text = (
        b"\xef\xbb\xbf# mine\r\n\r\ndecision,what,other,comment\r\n# why\r\nkeep,"
        + A.encode()
        + b"\r\n  \r\n"
    )
    assert read_lines(tmp_path, text) == [Override(5, "keep", A, None)]


def test_what_a_spreadsheet_adds_does_not_matter(tmp_path: Path) -> None:
    text = f'"# mine, and why",,,,\r\n{HEADER[:-1]},,\r\n,,,\r\ndrop,"#ann, née Bo",,,,\r\n,,,\r\n'
    assert read_lines(tmp_path, text, header="") == [Override(4, "drop", "#ann, née Bo", None)]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_refused_with_the_way_out(separator: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 1 begins with .* with commas there and in all others"):
        read_lines(tmp_path, HEADER.replace(",", separator) + f"drop{separator}ann\n", header="")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("kepe,x,,", "line 3 decides 'kepe': choose keep, drop, same, different, copy"),
        ("keep,,,", "line 3 is 'keep,,': write keep,FACE"),
        ("keep", "line 3 is 'keep': write keep,FACE"),
        ("same,a,,", "line 3 is 'same,a,': write same,FACE or NAME"),
        ("same,a,a,", "line 3 is 'same,a,a'"),
        ("drop,a,b,", "line 3 is 'drop,a,b': write drop,FACE,, or"),
        ("keep,a,b,", "line 3 is 'keep,a,b'"),
        (f"copy,{A},b.jpg,", "write copy,FACE,FACE, or copy,PHOTO,PHOTO,"),
        (f"different,{PHOTO},ann,", "write different,FACE or NAME"),
        ("keep,a,,because, he said,so", "line 3 has 6 fields, the last of them 'so': write 4"),
        ('keep,"a,,', "line 3 cannot be split into fields"),
        ('keep,"a"b,,', "line 3 cannot be split into fields"),
        ("keep," + "x" * 200_000, "line 3 cannot be split into fields"),
        ("k\x1b[31m" + "e" * 100_000 + "ep,a", "line 3 decides 'k\\x1b[31mee"),
    ],
)
def test_a_line_that_makes_no_sense_is_one_sentence(line: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read_lines(tmp_path, f"drop,x,,\n{line}\n")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_a_file_of_another_form_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"line 1 begins with 'drop,x,,': make the first line decision,what"):
        read_lines(tmp_path, "drop,x,,\n", header="")
    with pytest.raises(UserError, match=r"line 3 is not UTF-8 .* save the file as UTF-8"):
        read_lines(tmp_path, HEADER.encode() + b"drop,a,,\ndrop,\xff,,\n")
    monkeypatch.setattr(overrides, "MAX_BYTES", 100)
    with pytest.raises(UserError, match="has more than"):
        read_lines(tmp_path, "drop,x,,\n" * 20)
    (tmp_path / FILE).unlink()
    for number, make in enumerate((Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder / FILE)
        with pytest.raises(UserError, match="cannot be read"):
            read(Storage(str(folder)))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_understood_or_refused(data: bytes) -> None:
    try:
        lines, refusal = read(_OneFile(HEADER.encode() + data)), FILE
    except UserError as error:
        lines, refusal = [], str(error)
    assert refusal.isprintable()
    assert FILE in refusal
    assert all(line.decision in ("keep", "drop", "same", "different", "copy") for line in lines)


class _OneFile(Storage):
    """A storage that holds nothing but the file."""

    def __init__(self, data: bytes) -> None:
        object.__setattr__(self, "data", data)

    def read_small(self, name: str, limit: int) -> bytes:
        return bytes(self.__dict__["data"])


def test_the_table_is_written_only_if_what_the_file_says_has_changed(tmp_path: Path) -> None:
    storage, part = Storage(str(tmp_path)), tmp_path / "overrides" / "part-00000.parquet"
    read_lines(tmp_path, "drop,x,,\n")
    update(storage, read(storage))
    first, before = part.stat(), part.read_bytes()  # not its time of access: reading is no writing
    read_lines(tmp_path, "drop,x,,for a reason\n\n# another comment\n")
    update(storage, read(storage))
    assert (part.stat().st_ino, part.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    read_lines(tmp_path, "drop,y,,\n")
    update(storage, read(storage))
    assert part.read_bytes() != before


def test_a_stage_sees_the_lines_that_concern_it(tmp_path: Path) -> None:
    lines = [
        f"keep,{A},,", "keep,a.jpg,,", f"keep,{A},{B},", f"drop,{A},,", f"drop,{PHOTO},,", "same,a,b,",
        f"different,{A},b,", f"copy,{A},{B},", f"copy,{PHOTO},b.jpg,",
    ]  # fmt: skip
    read_lines(tmp_path, "\n".join(lines))
    storage = Storage(str(tmp_path))
    update(storage, read(storage))

    def concern(table: str) -> list[str]:
        return [lines[row["line"] - 2] for row in rows(storage).filter(relevant_to(table)).to_pylist()]

    assert concern("duplicates") == [lines[1], lines[4], lines[8]]
    assert concern("copies") == [lines[2], lines[7]]
    assert concern("identities") == [lines[i] for i in (0, 1, 3, 4, 5, 6)]
    assert concern("pairs") == [lines[2], lines[7]]


def put(storage: Storage, table: str, known: list[dict[str, object]]) -> None:
    schema = loaded(TABLES[table])
    with storage.writing(table, "part-00000", "") as part:
        part.add(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in known], schema))


def test_a_line_that_matches_nothing_is_a_warning(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    put(storage, "sources", [{"key": "ann/1.jpg", "label": "ann"}])
    put(storage, "images", [{"key": "ann/1.jpg", "id": PHOTO}])
    put(storage, "faces", [{"id": A}])
    gone = {"face": A, "identity": "ann", "why": "overrides.csv, line 12: same person"}
    put(storage, "identities", [{"face": A, "identity": "person-1"}, gone])
    known = f"keep,{A},,\nkeep,ann/1.jpg,,\ndrop,{PHOTO},,\nsame,ann,person-1,\nsame,{A},ann,\n"
    unknown = f"drop,\u202ebob,,\ndifferent,{B},ann,\nsame,x,y,\n"
    filler = "# nothing\n" * 2
    read_lines(tmp_path, known + unknown + filler + "same,person-2,ann,\nsame,person-3,ann,\n")
    update(storage, read(storage))
    console = Console(file=io.StringIO(), width=200, record=True)
    warn_about_unmatched_overrides(storage, console)
    printed = console.export_text().splitlines()
    assert [line.split(":")[0] for line in printed] == [
        f"warning     {FILE}, line {n}" for n in (7, 8, 9, 13)
    ]
    assert "is '\N{REPLACEMENT CHARACTER}bob': the line does nothing" in printed[0]
    assert f"'{B}'" in printed[1]
    assert "'x' and 'y'" in printed[2]


def test_a_line_about_what_a_limit_left_out_is_a_warning(tmp_path: Path) -> None:
    storage, console = Storage(str(tmp_path)), Console(file=io.StringIO(), width=200, record=True)
    put(storage, "images", [{"key": "a.jpg", "id": PHOTO}, {"key": "b.jpg", "reject": "empty"}])
    put(storage, "faces", [{"id": A, "reject": "face_too_small"}, {"id": B}])
    read_lines(tmp_path, f"keep,{A},,\ndrop,{A},,\ncopy,{B},{A},\nkeep,b.jpg,,\nkeep,{B},,\nkeep,a.jpg,,\n")
    update(storage, read(storage))
    warn_about_unmatched_overrides(storage, console)
    sentence = "analyse left it out (face_too_small), and only other settings bring it back"
    sentence_of_crawl = "crawl left it out (empty), and only other settings bring it back"
    assert console.export_text().splitlines() == [
        f"warning     {FILE}, line 2: the line does nothing for '{A}': {sentence}",
        f"warning     {FILE}, line 4: the line does nothing for '{A}': {sentence}",
        f"warning     {FILE}, line 5: the line does nothing for 'b.jpg': {sentence_of_crawl}",
    ]


def test_of_a_thousand_lines_that_match_nothing_only_the_first_are_printed(tmp_path: Path) -> None:
    storage, console = Storage(str(tmp_path)), Console(file=io.StringIO(), width=200, record=True)
    read_lines(tmp_path, "".join(f"drop,{n},,\n" for n in range(1000)))
    update(storage, read(storage))
    warn_about_unmatched_overrides(storage, console)
    printed = console.export_text().splitlines()
    assert len(printed) == 21
    assert printed[-1] == f"warning     and 980 more lines of {FILE}"


def test_the_command_refuses_before_it_works(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "build"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"no photo, but that is not what it ends with")
    out.mkdir()
    (out / FILE).write_text(HEADER + "drop,a.jpg,b.jpg,\n")
    refused(
        facerefs("build", photos, "--out", out),
        "overrides.csv, line 2 is 'drop,a.jpg,b.jpg': write drop,FACE",
    )
    assert [path.name for path in out.iterdir() if not path.name.startswith(".")] == [FILE]


def test_a_line_holds_for_every_spelling_of_a_name_or_a_key(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    put(
        storage,
        "sources",
        [{"key": "Jose\u0301/1.jpg", "label": "Jose\u0301"}, {"key": "b", "label": "Bo  Li"}],
    )
    read_lines(
        tmp_path,
        "drop,Jos\u00e9,,\nsame,Bo\u00a0Li,JOS\u00c9,\ndrop,\u200bBo Li ,,\nkeep,Jos\u00e9/1.jpg,,\n",
    )
    update(storage, read(storage))
    assert rows(storage).select(["what", "other"]).to_pylist() == [
        {"what": "Jose\u0301", "other": None},
        {"what": "Bo  Li", "other": "JOS\u00c9"},
        {"what": "Bo  Li", "other": None},
        {"what": "Jose\u0301/1.jpg", "other": None},
    ]
