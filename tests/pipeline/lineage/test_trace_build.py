"""trace in a whole build: what a key means, back to every decision, and forward to every sample."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facerefs.pipeline.commands.trace import find_trace, trace_command
from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.lineage.forward import forward
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import BUILD_FILE
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import TABLES
from tests.pipeline.small_set import make_samples, write_tables

ANN_1, ANN_2, ANN_3, COPY, BOB = "ann/1.jpg", "ann/2.jpg", "ann/3.jpg", "ann/1 copy.jpg", "bob/1.jpg"
IDS = {ANN_1: "a1" * 32, ANN_2: "a2" * 32, ANN_3: "a3" * 32, COPY: "ac" * 32, BOB: "b1" * 32}
FACES = {key: f"{id_[:16]}-0" for key, id_ in IDS.items() if key != COPY}
ONE, TWO, THREE, OTHER = FACES.values()
HOSTILE = "Ann \x1b[31m\u202e<b>\nCC0"
PLACES = {ANN_1: 0.0, ANN_2: 1.0, ANN_3: 4.0, BOB: 9.0}
COMPARED = {"landmark_distance": 0.02, "similarity": 0.9, "pose_gap": 3.0, "strategy": "landmark_nearest"}
MADE = {"recipe": "gfpgan", "split": "train", "identity": "ann"}
SYNTHESISED = {"target": ONE, "reference": ONE, "identity": "ann", "strategy": "synthesised"}

ROWS: dict[str, list[dict[str, Any]]] = {
    "sources": [
        {"key": key, "url": f"http://a.org/{key}", "page": "http://a.org/ann", "licence": "CC0"}
        | {"attribution": HOSTILE, "label": key.partition("/")[0]}
        for key in IDS
    ],
    "downloads": [
        {"key": ANN_1, "url": f"http://a.org/{ANN_1}", "final_url": "http://b.org/1", "status": 200}
        | {"attempts": 2, "ms": 70, "robots": "allowed", "opt_out": "noai"},
        {"key": "gone.jpg", "url": "http://a.org/gone", "attempts": 1, "reject": Reject.ROBOTS},
    ],
    "images": [
        {"key": key, "id": id_, "format": "JPEG", "width": 8, "height": 8, "bytes": 9}
        for key, id_ in IDS.items()
    ],
    "duplicates": [
        {"key": ANN_1, "id": IDS[ANN_1], "group": IDS[ANN_1], "kept": True, "kept_key": ANN_1},
        {"key": COPY, "id": IDS[COPY], "group": IDS[ANN_1], "kept": False, "kept_key": ANN_1}
        | {"kind": "near", "why": "it is larger", "reject": Reject.DUPLICATE_NEAR},
    ],
    "faces": [
        {"id": FACES[key], "image": IDS[key], "key": key, "embedding": [1.0, 0.0], "yaw": 1.0, "pitch": 2.0}
        | {"landmarks": [place] * 136, "crop_size": 100, "face_px": 8.0}
        for key, place in PLACES.items()
    ],
    "labels": [{"face": FACES[key], "label": key.partition("/")[0]} for key in FACES],
    "overrides": [{"line": 2, "decision": "same", "what": "ann", "other": "anna"}],
    "copies": [{"face": ONE, "other": OTHER, "kind": "unsure", "why": "alike"}],
    "identities": [
        {"face": FACES[key], "label": "x", "identity": "ann" if key != BOB else "bob"}
        | {"decision": "corrected", "similarity": 0.9, "why": "it is alike"}
        for key in FACES
    ],
    "made_elsewhere": [{"target": TWO, "file": "two.png"}],
    "given_pairs": [{"row": 7, "file": "list.csv", "line": 8, "target": "2.jpg", "references": ["1.jpg"]}],
    "pairs": [
        {"target": ONE, "reference": TWO, "identity": "ann", "rank": 0} | COMPARED,
        SYNTHESISED | {"rank": 1, "synthesis": "{}"},
        {"target": ONE, "reference": OTHER, "reject": Reject.SESSION, "reject_detail": "cosine 0.99"}
        | COMPARED,
        {"target": TWO, "reference": ONE, "identity": "ann", "rank": 0, "given_row": 7} | COMPARED,
        {"target": TWO, "reference": TWO, "rank": 1, "elsewhere": '{"file": "two.png"}'},
    ],
    "samples": [
        {"key": f"{face}-{recipe}", "target": face, "references": [other, face]}
        | MADE
        | {"theta": '[{"op": "jpeg", "quality": 70}]'}
        for face, other in ((ONE, TWO), (TWO, ONE))
        for recipe in ("a", "b")
    ],
}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A build of two people in parts of two rows; everything a row says is in ROWS."""
    storage = Storage(str(tmp_path_factory.mktemp("build")))
    storage.write_text(BUILD_FILE, "{}")
    for table, rows in ROWS.items():
        whole = [dict.fromkeys(TABLES[table].names) | row for row in rows]
        for start in range(0, len(whole), 2):
            with storage.writing(table, f"part-{start}", "fingerprint") as part:
                part.add(pa.Table.from_pylist(whole[start : start + 2], TABLES[table]))
    return storage


def lines(storage: Storage, capsys: pytest.CaptureFixture[str], text: str, limit: int = 99) -> str:
    trace_command(storage.root, text, None, limit, as_json=False)
    return capsys.readouterr().out


def test_a_photo_leads_to_every_sample_in_every_role(storage: Storage) -> None:
    found = forward(storage, [ANN_2])
    roles = [(use.sample, use.role, use.rank) for use in found.uses]
    assert roles == [
        (f"{ONE}-a", "reference", 0),
        (f"{ONE}-b", "reference", 0),
        (f"{TWO}-a", "target", None),
        (f"{TWO}-a", "made elsewhere", 1),
        (f"{TWO}-b", "target", None),
        (f"{TWO}-b", "made elsewhere", 1),
    ]
    assert [row["id"] for row in found.faces] == [TWO]
    assert {(row["target"], row["reference"]) for row in found.pairs} == {(ONE, TWO), (TWO, ONE), (TWO, TWO)}
    assert [row["file"] for row in found.elsewhere] == ["two.png"]
    assert [row["row"] for row in found.given_pairs] == [7]


def test_a_photo_leads_to_its_copies_and_a_copy_to_the_photo_in_its_place(storage: Storage) -> None:
    assert [row["key"] for row in forward(storage, [ANN_1]).dropped_for] == [COPY]
    assert [use.role for use in forward(storage, [ANN_1]).uses].count("synthesised") == 2
    copy = forward(storage, [COPY])
    assert [row["kept_key"] for row in copy.kept_instead] == [ANN_1]
    assert (copy.faces, copy.uses) == ((), ())


def test_a_sample_leads_to_photos_decisions_and_the_choice_of_its_references(storage: Storage) -> None:
    found = find_trace(storage.root, f"{ONE}-a")
    assert [photo.key for photo in found.photos] == [ANN_1, ANN_2]
    assert [row["key"] for row in found.photos[0].dropped_for] == [COPY]
    assert [(face.id, face.role) for face in found.faces] == [(ONE, "target"), (TWO, "reference 0")]
    assert found.faces[0].copies[0]["other"] == OTHER
    (choice,) = found.choices
    assert [pair["reference"] for pair in choice.chosen] == [TWO, ONE]
    assert [pair["reject"] for pair in choice.refused] == [Reject.SESSION]
    (other,) = choice.others
    assert (other.face, other.why) == (THREE, "its landmarks are farther from the target's")
    assert other.landmark_distance == pytest.approx(0.08)
    assert found.overrides[0]["line"] == 2
    json.dumps(found.tree())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"{ONE}-a", "sample"),
        (ONE, "face"),
        (ANN_1, "photo"),
        (f"http://a.org/{ANN_1}", "url"),
        ("http://b.org/1", "url"),
        (IDS[ANN_1].upper(), "sha256"),
        ("ann", "person"),
    ],
)
def test_a_key_is_taken_for_what_it_is(storage: Storage, text: str, kind: str) -> None:
    found = find_trace(storage.root, text)
    assert found.asked.kind == kind
    assert ANN_1 in [photo.key for photo in found.photos]
    assert f"{ONE}-a" in [use.sample for use in found.forward.uses]


def test_several_meanings_are_said_and_one_can_be_chosen(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "which means 5 photos: all are traced" in lines(storage, capsys, "http://a.org/ann")
    with pytest.raises(UserError, match="as the kind person"):
        find_trace(storage.root, ANN_1, "person")
    with pytest.raises(UserError, match="one of sample, face"):
        find_trace(storage.root, ANN_1, "people")


def test_what_is_unknown_is_said_with_what_was_searched_and_near_names(storage: Storage) -> None:
    with pytest.raises(UserError, match=r"searched: .*near it: ann/1.jpg, ann/1 copy.jpg"):
        find_trace(storage.root, "ann/1")
    with pytest.raises(UserError, match=r"searched: .*near it: ann$"):
        find_trace(storage.root, "anni")


def test_lines_say_every_step_and_hostile_text_stays_on_its_line(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    text = lines(storage, capsys, f"{ONE}-a")
    for said in (
        *("jpeg quality=70", "licence     CC0", "HTTP 200, 2 attempts", "robots      allowed; opt-out: noai"),
        *("redirected  http://b.org/1", "ann/1 copy.jpg (near) gave way to it: it is larger"),
        *("label corrected", "it is alike", "synthesised from the target", "session: the reference would be"),
        *("not taken", "overrides.csv, line 2: same ann anna", "the target is used by 4 samples"),
    ):
        assert said in text
    assert not {"\x1b", "\u202e"} & set(text)
    assert "Ann �[31m�<b> CC0\n" in text


def test_limits_are_said(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    text = lines(storage, capsys, "ann", limit=1)
    assert "more photos: raise --limit 1" in text
    assert "more uses: raise --limit 1" in text


def test_a_rejected_download_is_told(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    assert "robots.txt forbids" in lines(storage, capsys, "http://a.org/gone")


def test_a_damaged_part_is_named(storage: Storage, tmp_path: Path) -> None:
    storage = Storage(str(shutil.copytree(storage.root, tmp_path / "damaged")))
    part = storage.parts("pairs")[0]
    storage.write_text(f"pairs/{part}.parquet", "PAR1 nonsense")
    with pytest.raises(RunError, match=f"pairs/{part}.parquet is damaged"):
        forward(storage, [ANN_1])


def with_another_value(data: bytes, column: str) -> bytes:
    """The Parquet file with one bit flipped, which only its checksums tell: it can be read, and has another value."""
    values = pq.read_table(pa.BufferReader(data), columns=[column])
    for at in range(4, len(data)):
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            if not pq.read_table(pa.BufferReader(flipped), columns=[column]).equals(values):
                return flipped
        except (pa.ArrowException, OSError):
            continue
    raise AssertionError("no such bit")


def test_a_flipped_letter_is_not_told_as_the_truth(tmp_path: Path) -> None:
    storage = write_tables(tmp_path, people=3, photos=4, references=2)
    (part,) = storage.parts("pairs")
    keys = storage.scan("sources", ("key",))["key"].to_pylist()
    path = storage.local_path(f"pairs/{part}.parquet")
    path.write_bytes(with_another_value(path.read_bytes(), "target"))
    with pytest.raises(RunError, match=f"pairs/{part}.parquet is damaged"):
        forward(storage, keys)


def test_forward_finds_what_reading_everything_finds(tmp_path: Path) -> None:
    storage = write_tables(tmp_path, people=3, photos=4, references=2)
    make_samples(storage)
    samples = storage.scan("samples", ("key", "target", "references")).to_pylist()
    pairs = storage.scan("pairs", ("target", "reference")).to_pylist()
    for row in storage.scan("faces", ("id", "key")).to_pylist():
        face = row["id"]
        expected = {
            (sample["key"], role)
            for sample in samples
            for role, faces in (("target", [sample["target"]]), ("reference", sample["references"]))
            if face in faces
        }
        found = forward(storage, faces=[face])
        assert found.photos == (row["key"],)
        assert {(use.sample, use.role) for use in found.uses} == expected
        assert len(found.pairs) == sum(face in pair.values() for pair in pairs)
