"""References made elsewhere: which file is of which face, which is of none, and what a set says about them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from facerefs.pipeline.build.closing import elsewhere_sentence
from facerefs.pipeline.dataset.result import build_result
from facerefs.pipeline.inputs.made_elsewhere import ElsewhereInput, check_folder
from facerefs.pipeline.inputs.shard import ShardInput
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import FACES, TABLES, loaded
from facerefs.stages.analyse import Analyse
from facerefs.stages.crawl import Crawl
from facerefs.stages.made_elsewhere import Elsewhere
from facerefs.stages.shard import Shard
from facerefs.stages.sources.source import SourceError
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import View, render

SIDE_PX = 320
ANN, BOB = "0" * 16 + "-0", "1" * 16 + "-0"


def storage_of(folder: Path, faces: list[dict[str, Any]], part: str = "part-a") -> Storage:
    storage = Storage(str(folder))
    put(storage, "faces", faces, part)
    return storage


def put(storage: Storage, table: str, rows: list[dict[str, Any]], part: str = "part-a") -> None:
    schema = loaded(TABLES[table])
    with storage.writing(table, part, "fingerprint") as writer:
        writer.add(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema))


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def matched(storage: Storage, folder: Path, **settings: Any) -> dict[str, tuple[str | None, str | None]]:
    """By file, its target and its rejection."""
    inputs = ElsewhereInput(storage, Elsewhere(folder=str(folder), **settings))
    rows = [row for name in inputs.names() for row in inputs.read(name).to_pylist()]
    return {row["file"]: (row["target"], row["reject"]) for row in rows}


def test_a_file_is_of_the_face_whose_photo_or_sample_has_its_name(tmp_path: Path) -> None:
    storage = storage_of(tmp_path / "set", [{"id": ANN, "key": "people/00012.jpg"}])
    put(storage, "faces", [{"id": BOB, "key": "https://a.example/bob.png?w=9"}], "part-b")
    folder = files(tmp_path / "edits", "00012.png", "target_pose_1/target_pose_1_0/00012.png", f"{BOB}.webp")
    files(folder, "old/er/bob.png", ".hidden.png")
    assert matched(storage, folder) == {
        "00012.png": (ANN, None),
        "target_pose_1/target_pose_1_0/00012.png": (ANN, None),
        f"{BOB}.webp": (BOB, None),
        "old/er/bob.png": (BOB, None),
    }
    row = ElsewhereInput(storage, Elsewhere(folder=str(folder))).read("part-a").to_pylist()[1]
    assert (row["folder"], row["pose"], row["variant"]) == ("edits", "target_pose_1", "target_pose_1_0")


def test_names_with_signs_of_urls_and_as_macos_spells_them(tmp_path: Path) -> None:
    keys = {ANN: "ann/a?b#c.d.png", BOB: "bob/J\u00f6rg.jpg"}
    storage = storage_of(tmp_path / "set", [{"id": face, "key": key} for face, key in keys.items()])
    folder = files(tmp_path / "edits", "a?b#c.d.png", "a.png", "Jo\u0308rg.png")
    found = matched(storage, folder)
    assert found == {
        "a?b#c.d.png": (ANN, None),
        "a.png": (None, Reject.NO_TARGET),
        "Jo\u0308rg.png": (BOB, None),
    }


def test_files_without_one_target_are_rejected_with_their_reason(tmp_path: Path) -> None:
    faces = [{"id": ANN, "key": "ann/1.jpg"}, {"id": BOB, "key": "bob/1.jpg"}]
    faces.append({"id": "2" * 16 + "-0", "key": "gone.jpg", "reject": Reject.FACE_BLURRED})
    storage = storage_of(tmp_path / "set", faces)
    folder = files(
        tmp_path / "edits", "1.png", "gone.png", "notes.txt", f"a/{ANN}.png", f"{BOB}.png", f"{BOB}.jpg"
    )
    (folder / f"{ANN}.png").symlink_to("/etc/passwd")
    (folder / "out").symlink_to(tmp_path)
    assert matched(storage, folder) == {
        "1.png": (None, Reject.AMBIGUOUS_TARGET),
        "gone.png": (None, Reject.NO_TARGET),
        "notes.txt": (None, Reject.NOT_AN_IMAGE),
        f"a/{ANN}.png": (None, Reject.NO_TARGET),
        f"{BOB}.png": (None, Reject.AMBIGUOUS_TARGET),
        f"{BOB}.jpg": (None, Reject.AMBIGUOUS_TARGET),
        f"{ANN}.png": (None, Reject.UNREADABLE),
        "out": (None, Reject.UNREADABLE),
    }


def test_a_face_gets_no_more_than_it_may_and_a_missing_folder_is_said(tmp_path: Path) -> None:
    storage = storage_of(tmp_path / "set", [{"id": ANN, "key": "ann.jpg"}])
    folder = files(tmp_path / "edits", *(f"p/{variant}/ann.png" for variant in "abc"))
    found = matched(storage, folder, per_target=2)
    assert [found[f"p/{variant}/ann.png"][1] for variant in "abc"] == [None, None, Reject.ENOUGH_REFERENCES]
    with pytest.raises(SourceError, match=r"made_elsewhere\.folder: .*nothing cannot be listed"):
        matched(storage, tmp_path / "nothing")
    (tmp_path / "unmounted").mkdir()
    with pytest.raises(SourceError, match=r"there is no file in .*unmounted: correct it, or set"):
        check_folder(str(tmp_path / "unmounted"))


def test_files_of_faces_in_no_sample_are_counted(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    put(storage, "faces", [{"id": ANN, "key": "ann.jpg"}, {"id": BOB, "key": "bob.jpg"}])
    put(storage, "samples", [{"key": ANN, "target": ANN, "references": [ANN], "identity": "Ann"}])
    put(storage, "pairs", [{"target": ANN, "reference": ANN, "elsewhere": "{}"}])
    made = [{"target": face, "file": file} for face, file in ((ANN, "0"), (ANN, "1"), (BOB, "2"))]
    put(storage, "made_elsewhere", [*made, {"file": "3", "reject": Reject.NO_TARGET}])
    result = build_result(storage)
    assert result.facts()["made_elsewhere"] == {
        "used": 1,
        "samples_without": 0,
        "unused": {"no_target": 1, "enough_references": 1},
        "of_no_sample": 1,
    }
    assert result.elsewhere is not None
    sentence = elsewhere_sentence(result.elsewhere)
    assert sentence.startswith("0 samples without a file; 3 files not used: ")
    assert sentence.endswith(", 1 of faces that are in no sample")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Storage, dict[str, dict[str, Any]]]:
    """A face, and by file what became of four files made of it."""
    root = tmp_path_factory.mktemp("made")
    photo = render(draw_person(5, 0), View(), SIDE_PX).image
    Image.fromarray(photo).save(root / "ann.png")
    stage = Elsewhere(
        folder=str(root / "edits"),
        licence="CC BY",
        min_similarity=0.975,
        crawl=Crawl(),
        analyse=Analyse(niqe=False, min_face_px=160),
    )
    stage.setup()
    source = {"key": "ann.png", "id": _sha(root / "ann.png"), "photo": (root / "ann.png").read_bytes()}
    face = stage._faces.process(pa.table({name: [value] for name, value in source.items()})).to_pylist()[0]
    storage = storage_of(root / "set", [{name: face[name] for name in FACES.names}])
    for number, pixels in enumerate(
        (
            render(draw_person(5, 0), View(yaw_deg=14, pitch_deg=6, smile=0.8), SIDE_PX).image,
            render(draw_person(5, 4), View(), SIDE_PX).image,
        )
    ):
        (root / f"edits/pose/{number}").mkdir(parents=True)
        Image.fromarray(pixels).save(root / f"edits/pose/{number}/ann.png")
    Image.fromarray(np.clip(photo * 1.03, 0, 255).astype(np.uint8)).save(root / "edits/ann.png")
    (root / "edits/pose/2").mkdir()
    (root / "edits/pose/2/ann.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    inputs = ElsewhereInput(storage, stage)
    (part,) = inputs.names()
    with storage.writing("made_elsewhere", part, "fingerprint") as writer:
        writer.add(stage.process(storage.load_blobs(inputs.read(part), stage.loads)))
    return storage, {row["file"]: row for row in storage.scan("made_elsewhere").to_pylist()}


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_another_person_a_copy_and_a_broken_file_are_no_references(made: Any) -> None:
    _, found = made
    assert {file: row["reject"] for file, row in found.items()} == {
        "pose/0/ann.png": None,
        "pose/1/ann.png": Reject.WRONG_LABEL,
        "ann.png": Reject.COPY,
        "pose/2/ann.png": Reject.CORRUPT,
    }


def test_a_sample_says_where_its_reference_was_made(made: Any) -> None:
    storage, found = made
    row = found["pose/0/ann.png"]
    target = row["target"]
    put(storage, "labels", [{"face": target, "label": "Ann"}])
    put(storage, "sources", [{"key": "ann.png", "licence": "CC0"}])
    about = {name: row[name] for name in ("landmark_distance", "similarity", "pose_gap", "elsewhere")}
    pair = {"target": target, "reference": target, "identity": "Ann", "rank": 0, "strategy": "made elsewhere"}
    put(storage, "pairs", [pair | about])
    shard = Shard(val_share=0, test_share=0)
    plan = ShardInput(storage, shard)
    (name,) = plan.names()
    (sample,) = shard.process(storage.load_blobs(plan.read(name), shard.loads)).to_pylist()
    files = {one["name"].partition(".")[2]: one["data"] for one in sample["files"]}
    (reference,) = json.loads(files["json"])["references"]
    assert reference["elsewhere"] == {
        "folder": "edits",
        "file": "pose/0/ann.png",
        "pose": "pose",
        "variant": "0",
        "licence": "CC BY",
    }
    assert (reference["face"], reference["licence"], reference["image"]) == (target, "CC0", row["image"])
    assert reference["yaw"] > 4
    assert files["ref0.jpg"] != files["gt.jpg"]
