"""inspect: one key, id or name leads to every row that knows of it, and to no row that does not."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from facerefs.pipeline.commands.inspect import print_rows
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import BUILD_FILE
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import TABLES

ANN_1, ANN_2, COPY, BOB_1, BOB_2 = "ann/1.jpg", "ann/2.jpg", "ann/1 copy.jpg", "bob/1.jpg", "bob/2.jpg"
IDS = {ANN_1: "a1" * 32, ANN_2: "a2" * 32, COPY: "ac" * 32, BOB_1: "b1" * 32, BOB_2: "b2" * 32}
FACES = {key: f"{id_[:16]}-0" for key, id_ in IDS.items() if key != COPY}
BROKEN = "odd\\xff.jpg"  # a key as `facerefs.schemas.paths` writes the file name b"odd\xff.jpg"

ROWS: dict[str, list[dict[str, Any]]] = {
    "sources": [{"key": key} for key in (ANN_1, ANN_2, COPY, BOB_1, BOB_2, BROKEN)],
    "downloads": [{"key": key, "url": f"http://a.org/{key}", "status": 200} for key in (ANN_1, BOB_2)],
    "images": [
        *({"key": key, "id": IDS[key]} for key in IDS),
        {"key": BROKEN, "reject": Reject.EMPTY, "reject_detail": "[red]0 bytes[/red]"},
    ],
    "duplicates": [
        {"key": ANN_1, "id": IDS[ANN_1], "group": IDS[ANN_1], "kept": True},
        {"key": COPY, "id": IDS[COPY], "group": IDS[ANN_1], "kept": False, "reject": Reject.DUPLICATE_NEAR},
        *({"key": key, "id": IDS[key], "group": IDS[key]} for key in (ANN_2, BOB_1, BOB_2)),
    ],
    "faces": [{"id": FACES[key], "image": IDS[key], "key": key, "embedding": [0.5] * 128} for key in FACES],
    "labels": [{"face": FACES[key], "label": key.partition("/")[0]} for key in FACES],
    "overrides": [{"line": 2, "decision": "keep", "what": FACES[ANN_1], "other": FACES[ANN_2]}],
    "copies": [{"face": FACES[ANN_1], "other": FACES[ANN_2], "kind": "unsure"}],
    "identities": [{"face": FACES[key], "identity": key.partition("/")[0]} for key in FACES],
    "made_elsewhere": [{"target": FACES[ANN_1], "file": "ann.png"}],
    "given_pairs": [{"row": 0, "target": ANN_1, "references": [ANN_2]}],
    "given_splits": [{"row": 0, "name": ANN_1, "split": "train"}],
    "pairs": [
        {"target": FACES[ANN_1], "reference": FACES[ANN_2], "identity": "ann"},
        {"target": FACES[ANN_2], "reference": FACES[ANN_1], "identity": "ann"},
        {"target": FACES[BOB_1], "reference": FACES[BOB_2], "identity": "bob"},
        {"target": FACES[BOB_2], "reject": Reject.NO_REFERENCE, "identity": "bob"},
    ],
    "splits": [{"target": FACES[ANN_1], "split": "train"}],
    "samples": [
        {"key": FACES[ANN_1], "target": FACES[ANN_1], "references": [FACES[BOB_2], FACES[ANN_2]]},
        {"key": FACES[ANN_2], "target": FACES[ANN_2], "references": []},
        {"key": FACES[BOB_1], "target": FACES[BOB_1], "references": [FACES[BOB_2]]},
    ],
}


@pytest.fixture(params=[100, 2], ids=["one part", "many parts"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A build of two people; everything a row says is in ROWS."""
    storage = Storage(str(tmp_path))
    storage.write_text(BUILD_FILE, "{}")
    for table, rows in ROWS.items():
        whole = [dict.fromkeys(TABLES[table].names) | row for row in rows]
        for start in range(0, len(whole), request.param):
            with storage.writing(table, f"part-{start}", "fingerprint") as part:
                part.add(pa.Table.from_pylist(whole[start : start + request.param], TABLES[table]))
    return tmp_path


Shown = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Function: the rows that `inspect` prints, as (table, row)."""

    def rows(what: str, limit: int = 100, rejected: bool = False) -> Shown:
        print_rows(folder, what, limit, rejected, as_json=True)
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [(row.pop("table"), row) for row in found]

    return rows


def numbers(found: Shown) -> dict[str, list[int]]:
    """Which of ROWS were found, whole, by table."""
    out: dict[str, list[int]] = {}
    for table, row in found:
        out.setdefault(table, []).append([_short(known) for known in ROWS[table]].index(_short(row)))
    return out


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "embedding" and value is not None}


OF_ANN_1 = {
    "sources": [0],
    "downloads": [0],
    "images": [0],
    "duplicates": [0, 1],
    "faces": [0],
    "labels": [0],
    "overrides": [0],
    "copies": [0],
    "identities": [0],
    "made_elsewhere": [0],
    "given_pairs": [0],
    "given_splits": [0],
    "pairs": [0, 1],
    "splits": [0],
    "samples": [0],
}
OF_BOB_2 = {
    "sources": [4],
    "downloads": [1],
    "images": [4],
    "duplicates": [4],
    "faces": [3],
    "labels": [3],
    "identities": [3],
    "pairs": [2, 3],
    "samples": [0, 2],
}


@pytest.mark.parametrize("what", [ANN_1, IDS[ANN_1], FACES[ANN_1]], ids=["photo", "image", "face or sample"])
def test_any_of_its_names_leads_to_the_whole_story(shown: Any, what: str) -> None:
    found = shown(what)
    assert numbers(found) == OF_ANN_1
    assert list(numbers(found)) == list(TABLES)


@pytest.mark.parametrize("what", [BOB_2, IDS[BOB_2], FACES[BOB_2]], ids=["photo", "image", "face"])
def test_a_reference_is_found_in_the_samples_of_others_but_does_not_lead_to_their_photos(
    shown: Any, what: str
) -> None:
    assert numbers(shown(what)) == OF_BOB_2


def test_a_person_leads_to_all_of_their_photos(shown: Any) -> None:
    assert numbers(shown("ann")) == {
        "sources": [0, 1],
        "downloads": [0],
        "images": [0, 1],
        "duplicates": [0, 1, 2],
        "faces": [0, 1],
        "labels": [0, 1],
        "overrides": [0],
        "copies": [0],
        "identities": [0, 1],
        "made_elsewhere": [0],
        "given_pairs": [0],
        "given_splits": [0],
        "pairs": [0, 1],
        "splits": [0],
        "samples": [0, 1],
    }


def test_a_photo_that_never_had_a_face(shown: Any) -> None:
    assert numbers(shown(COPY)) == {"sources": [2], "images": [2], "duplicates": [1]}


@pytest.mark.parametrize("what", [BROKEN, "odd\udcff.jpg"], ids=["as stored", "as the shell gives it"])
def test_an_odd_name_and_no_markup(shown: Any, what: str) -> None:
    found = shown(what)
    assert numbers(found) == {"sources": [5], "images": [5]}
    assert found[1][1]["reject_detail"] == "[red]0 bytes[/red]"


def test_only_rejected(shown: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert numbers(shown(BOB_2, rejected=True)) == {"pairs": [3]}
    assert numbers(shown("images", rejected=True)) == {"images": [5]}
    print_rows(folder, ANN_2, 100, rejected=True, as_json=False)
    print_rows(folder, "sources", 100, rejected=True, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        f"no rejected rows of {ANN_2}",
        "no rejected rows in sources",
    ]


def test_a_table(shown: Any) -> None:
    for table, rows in ROWS.items():
        assert numbers(shown(table)) == {table: list(range(len(rows)))}


def test_programs_get_whole_values_and_people_a_count(
    shown: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert all(row["embedding"] == [0.5] * 128 for _, row in shown("faces"))
    print_rows(folder, "faces", 1, rejected=False, as_json=False)
    text = capsys.readouterr().out
    assert "faces: 1 of 4 rows" in text
    assert "[128 values]" in text
    assert "0.5" not in text


def test_one_row_of_each_table_comes_before_more_of_one(shown: Any) -> None:
    assert numbers(shown(ANN_1, limit=1)) == {table: rows[:1] for table, rows in OF_ANN_1.items()}
    assert numbers(shown("ann", limit=17)) == {
        **{table: [0] for table in TABLES},
        "sources": [0, 1],
        "images": [0, 1],
    }


def test_the_limit_says_that_there_is_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(folder, ANN_1, 17, rejected=False, as_json=False)
    assert "more rows" not in capsys.readouterr().out
    print_rows(folder, ANN_1, 15, rejected=False, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "... 2 more rows: raise --limit 15"


def test_people_see_tables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(folder, "identities", 10, rejected=False, as_json=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["identities:", "4", "rows"]
    assert lines[1] == ["face", "identity"]
    assert lines[2] == [FACES[ANN_1], "ann"]
    print_rows(folder, BROKEN, 10, rejected=False, as_json=False)
    assert "reject_detail  [red]0 bytes[/red]" in capsys.readouterr().out


def test_what_is_not_there(folder: Path) -> None:
    with pytest.raises(UserError, match="'nobody' is neither a table"):
        print_rows(folder, "nobody", 10, rejected=False, as_json=False)


def test_a_name_or_key_is_found_in_any_spelling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = Storage(str(tmp_path))
    storage.write_text(BUILD_FILE, "{}")
    key = "Jose\u0301  B/1.jpg"
    known: dict[str, list[dict[str, Any]]] = {
        "sources": [{"key": key, "label": "Jose\u0301  B"}],
        "identities": [{"face": FACES[ANN_1], "identity": "Jose\u0301  B"}],
    }
    for table, rows in known.items():
        with storage.writing(table, "part-0", "fingerprint") as part:
            part.add(
                pa.Table.from_pylist(
                    [dict.fromkeys(TABLES[table].names) | row for row in rows], TABLES[table]
                )
            )
    for what, table in (("Jos\u00e9 B", "identities"), ("Jos\u00e9  B/1.jpg", "sources")):
        print_rows(tmp_path, what, 10, rejected=False, as_json=True)
        assert json.loads(capsys.readouterr().out.splitlines()[0])["table"] == table
