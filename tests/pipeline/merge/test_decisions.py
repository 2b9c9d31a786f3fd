"""The decisions of persons about two builds are joined, and contradictions are said."""

from pathlib import Path

from facerefs.pipeline.config.config import Config
from facerefs.pipeline.merge.decisions import JoinedDecisions, join_decisions
from facerefs.pipeline.merge.originals import Original
from facerefs.pipeline.merge.photos import TakenPart
from facerefs.pipeline.storage.folder import Storage

FACE, OTHER = "0123456789abcdef-0", "fedcba9876543210-0"


def joined(tmp_path: Path, a: str, b: str, renamed: dict[str, str] | None = None) -> JoinedDecisions:
    originals = []
    for name, lines in (("a", a), ("b", b)):
        storage = Storage(str(tmp_path / name))
        storage.write_text("overrides.csv", f"decision,what,other,comment\n{lines}")
        originals.append(Original(storage, name, Config(), {}))
    return join_decisions(
        Storage(str(tmp_path / "out")), originals, [TakenPart("part-1", 1, "part-1", renamed or {})]
    )


def text(tmp_path: Path) -> str:
    return (tmp_path / "out/overrides.csv").read_text()


def test_lines_are_joined_once_and_name_photos_by_their_new_keys(tmp_path: Path) -> None:
    a, b = f"drop,{FACE},,seen\nsame,Ann,Bob,\n", f"same,Ann,Bob,\ndrop,1.png,,\nkeep,{OTHER},,\n"
    for said in ([f"overrides.csv: 2 lines of {tmp_path}/{name} added" for name in ("a", "b")], []):
        result = joined(tmp_path, a, b, {"b/1.png": "1.png"})
        assert result.said == said
        assert [line.what for line in result.lines] == [FACE, "Ann", "b/1.png", OTHER]
    assert (
        text(tmp_path)
        == f"decision,what,other,comment\ndrop,{FACE},,seen\nsame,Ann,Bob,\ndrop,b/1.png,,\nkeep,{OTHER},,\n"
    )


def test_lines_of_the_result_itself_stay(tmp_path: Path) -> None:
    own = f"decision,what,other,comment\ndrop,{OTHER},,mine"
    Storage(str(tmp_path / "out")).write_text("overrides.csv", own)
    joined(tmp_path, f"drop,{FACE},,\n", f"drop,{OTHER},,\n")
    assert text(tmp_path) == f"{own}\ndrop,{FACE},,\n"


def test_contradictions_are_said(tmp_path: Path) -> None:
    result = joined(tmp_path, f"keep,{FACE},,\nsame,Ann,Bob,\n", f"different,Bob,Ann,\ndrop,{FACE},,\n")
    assert result.said[2:] == [
        "overrides.csv, line 4 (different 'Ann' and 'Bob') contradicts line 3 (same): the later one counts",
        f"overrides.csv, line 5 (drop '{FACE}') contradicts line 2 (keep): the later one counts",
    ]


def test_without_decisions_there_is_no_file(tmp_path: Path) -> None:
    assert joined(tmp_path, "", "") == JoinedDecisions([], [])
    assert not (tmp_path / "out/overrides.csv").exists()
