"""The review: the least certain decisions, each with the line that overturns it; and shots in two splits."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from facerefs.pipeline.build import leakage, overrides
from facerefs.pipeline.commands.status import print_status
from facerefs.pipeline.commands.verify import verify_command
from facerefs.pipeline.errors import RunError
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.review.review import review
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from facerefs.schemas.theta import to_json
from tests.pipeline.report.test_report import THETA, Page, add, face_row, html_of, photo_row, picture, who
from tests.pipeline.small_set import make_set

NAME, OTHER = 'Ann "A", née Lee', "Bob"
HIDDEN = "C\u202eole"
PHOTO = "ab" * 32


def face(number: int) -> str:
    return f"{number:016x}-0"


class Lines(Page):
    """The lines to paste, as a page shows them."""

    def __init__(self, text: str) -> None:
        self.lines: list[str] = []
        super().__init__(text)

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if self.open[-1:] == ["code"] and data.count(",") > 2:
            self.lines.append(data)


def shown(storage: Storage) -> list[str]:
    page = Lines(html_of(storage))
    assert page.open == []
    return [line for line in page.lines if line != "decision,what,other,comment"]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Twelve faces, and one decision of each kind."""
    storage = Storage(str(tmp_path))
    add(storage, "images", [photo_row(i, f"{i}.png") for i in range(2)])
    add(storage, "faces", [face_row(i, f"{i}.png") for i in range(12)])
    near = {"kind": "near", "distance": 7, "why": "kept is larger", "reject": Reject.DUPLICATE_NEAR}
    copy = {"key": "1 copy.png", "id": PHOTO, "label": NAME, "kept": False, "kept_key": "0.png", **near}
    by_person = {"key": "gone", "id": PHOTO, "kept": False, "kind": "dropped", "why": "overrides.csv, line 9"}
    best = {"key": "0.png", "kept": True, "kept_key": "0.png", "kind": "kept", "distance": 0}
    add(storage, "duplicates", [best, copy, {**by_person, "reject": Reject.DROPPED_BY_PERSON}])
    kept = {"label": NAME, "identity": NAME, "decision": "kept", "certainty": 0.9}
    identities = [who(0, **kept), who(1, **kept | {"certainty": 0.1}), who(2, **kept | {"identity": OTHER})]
    identities += [
        who(3, label=NAME, identity=OTHER, decision="corrected", certainty=0.2),
        who(4, label=NAME, decision="dropped", certainty=0.3, why="too far", reject=Reject.WRONG_LABEL),
        who(5, label=None, decision="dropped", certainty=0.3, reject=Reject.NO_IDENTITY),
        who(6, label="Bobby", identity=OTHER, decision="merged", certainty=0.4),
        who(7, label="Bobby", identity=OTHER, decision="merged", certainty=0.3),
        who(8, label=NAME, identity=f"{NAME} 2", decision="split", certainty=0.4),
        who(9, label=HIDDEN, identity=NAME, decision="merged", certainty=0.5),
        who(10, label=NAME, decision="dropped", certainty=1.0, forced=True, why="overrides.csv, line 2"),
    ]  # fmt: skip
    add(storage, "identities", identities)
    pair = {
        "hash_distance": 3,
        "landmark_distance": 0.01,
        "similarity": 0.97,
    }
    copies = [
        {"face": face(0), "other": face(1), "kind": "copy", "certainty": 0.6, "mirrored": True, **pair},
        {"face": face(1), "other": face(2), "kind": "unsure", "certainty": 0.2, "mirrored": False, **pair},
        {"face": face(3), "other": face(6), "kind": "copy", "certainty": 1.0, "why": "overrides.csv, line 3", **pair},
    ]  # fmt: skip
    add(storage, "copies", copies)
    session = {"identity": NAME, "similarity": 0.94, "landmark_distance": 0.02, "reject": Reject.SESSION}
    pairs = [
        {"target": face(0), "reference": face(2), "reject_detail": "cosine 0.94", **session},
        {"target": face(2), "reference": face(0), "reject_detail": "cosine 0.94", **session},
        {"target": face(1), "reference": face(2), **session, "similarity": 0.93},
    ]
    add(storage, "pairs", pairs)
    lines = [(2, "drop", face(10), None), (3, "copy", face(3), face(6)), (4, "same", "x", "y")]
    add(
        storage,
        "overrides",
        [dict(zip(("line", "decision", "what", "other"), line, strict=True)) for line in lines],
    )
    return storage


def test_every_decision_has_the_line_that_overturns_it(storage: Storage) -> None:
    quoted = '"Ann ""A"", née Lee"'
    assert shown(storage) == [
        f"drop,{face(10)},,", f"copy,{face(3)},{face(6)},", "same,x,y,",  # as the file has them
        f"drop,{face(1)},,", f"drop,{face(0)},,", f"drop,{face(2)},,",
        f"keep,{face(3)},,", f"keep,{face(4)},,", f"same,{face(5)},Bob,",
        "different,Bobby,Bob,", f"different,{face(9)},{face(0)},", f"same,{quoted[:-1]} 2\",{quoted},",
        f"keep,{face(0)},{face(1)},", f"copy,{face(1)},{face(2)},",
        f"keep,{face(1)},{face(2)},", f"keep,{face(0)},{face(2)},",
        f"keep,{PHOTO},,",
    ]  # fmt: skip


def test_the_lines_of_the_page_are_valid_when_pasted(storage: Storage) -> None:
    lines = shown(storage)
    Path(storage.root, "overrides.csv").write_text("\n".join(["decision,what,other,comment", *lines]))
    said = overrides.read(storage)
    assert len(said) == len(lines)
    assert (said[8].what, said[8].other) == (face(5), "Bob")
    assert NAME in {line.other for line in said}


def test_a_name_like_the_id_of_a_photo_is_pasted_as_faces(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    rows = [
        who(0, label=PHOTO, identity=OTHER, decision="merged"),
        who(1, label=OTHER, identity=OTHER, decision="kept"),
    ]
    add(storage, "faces", [face_row(i, f"{i}.png") for i in range(2)])
    add(storage, "identities", rows)
    assert shown(storage) == [f"drop,{face(1)},,", f"different,{face(0)},{face(1)},"]


def test_a_name_like_a_reason_hides_no_uncertain_decision(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    why = "nearest other: overrides.csv, line 2"
    add(storage, "identities", [who(0, label=NAME, identity=NAME, decision="kept", why=why, certainty=0.1)])
    assert shown(storage) == [f"drop,{face(0)},,"]


def test_a_persons_decision_is_shown_with_its_rows_and_is_not_uncertain(storage: Storage) -> None:
    found = review(storage, Album(storage))
    assert [(one.line, one.decided) for one in found.overrides] == [
        (2, [("identities", 1)]),
        (3, [("copies", 1)]),
        (4, []),
    ]
    doubts = {one.line for group in found.groups for one in group.decisions}
    assert f"keep,{face(3)},{face(6)}," not in doubts
    assert f"keep,{face(10)},," not in doubts


def test_the_least_certain_come_first_and_few_of_many(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    rows = [
        who(i, label=NAME, identity=NAME, decision="kept", certainty=((i * 7) % 40) / 40) for i in range(40)
    ]
    add(storage, "identities", rows)
    (group,) = review(storage, Album(storage)).groups
    assert group.total == 40
    certainties = [one.certainty for one in group.decisions]
    assert certainties == sorted(certainties)
    assert certainties[0] == 0
    assert len(certainties) < 20


def in_samples(storage: Storage, *splits: tuple[str, int, int]) -> None:
    theta = to_json(THETA)
    rows: list[dict[str, Any]] = [
        {
            "key": face(target),
            "split": split,
            "target": face(target),
            "references": [face(reference)],
            "theta": theta,
        }
        for split, target, reference in splits
    ]
    add(storage, "samples", rows)


def leakage_output(storage: Storage) -> str:
    console = Console(record=True, width=300, file=io.StringIO())
    leakage.check(storage, console)
    return console.export_text()


def test_a_copy_in_another_split_ends_the_build(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    in_samples(storage, ("train", 0, 1), ("val", 3, 6))
    assert "0 shots are in two splits (2 pairs of copies held against the samples)" in leakage_output(storage)
    add(storage, "copies", [{"face": face(1), "other": face(6), "kind": "copy"}], "part-b")
    with pytest.raises(
        RunError, match=rf"1 shot in two splits, such as {face(1)} \(train\) and {face(6)} \(val\)"
    ):
        leakage_output(storage)
    storage.write_text("build.yaml", "{}")
    print_status(Path(storage.root), as_json=False)
    assert "1 shot is in two splits (3 pairs of copies" in capsys.readouterr().out
    text = " ".join(Page(html_of(storage)).text.split())
    assert "1 shot in two splits, 1 shot under two names: 3 pairs of copies held against the samples" in text


def test_a_copy_that_a_person_kept_in_another_split_gives_a_warning(storage: Storage) -> None:
    add(storage, "identities", [who(20, label="Eve", identity="Eve", decision="kept", forced=True)], "part-b")
    add(storage, "copies", [{"face": face(0), "other": face(20), "kind": "copy"}], "part-b")
    in_samples(storage, ("train", 0, 1), ("val", 20, 3))
    assert "warning" in leakage_output(storage)


def test_a_pair_of_which_one_face_is_in_no_sample_is_in_one_split(storage: Storage) -> None:
    in_samples(storage, ("train", 0, 2))
    found = leakage.leakage(storage)
    assert (found.pairs, len(found.two_names), len(found.two_splits)) == (2, 0, 0)
    assert leakage_output(Storage(storage.root + "/empty")) == ""


def test_a_synthesised_reference_is_shown_as_such(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    add(storage, "faces", [face_row(0, "0.png")])
    made = {"target": face(0), "reference": face(0), "rank": 0, "identity": NAME, "synthesis": "{}"}
    add(storage, "pairs", [made])
    files = {"gt.png": picture(0), "ref0.png": picture(1), "lq.png": picture(2)}
    bundle = [{"name": f"k.{name}", "data": data} for name, data in files.items()]
    sample = {
        "key": "k",
        "target": face(0),
        "references": [face(0)],
        "theta": to_json(THETA),
        "files": bundle,
    }
    add(storage, "samples", [{**sample, "split": "train"}])
    page = Page(html_of(storage))
    assert "synthesised" in page.text
    assert "Reference made from the target" in page.text
    missing = [one for one in page.named("span") if "missing" in (one.get("class") or "")]
    assert missing == []


def test_verify_reports_a_shot_in_two_splits_if_the_whole_build_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_set(tmp_path)
    storage = Storage(str(tmp_path))
    of_split = {row["split"]: row["target"] for row in storage.scan("samples").to_pylist()}
    ends = sorted(of_split.values())[:2]
    add(storage, "copies", [{"face": ends[0], "other": ends[1], "kind": "copy"}])
    assert verify_command(tmp_path, replay=0)
    storage.write_text("build.yaml", "{}")
    assert not verify_command(tmp_path, replay=0)
    assert "1 shot is in two splits" in capsys.readouterr().out
    assert verify_command(tmp_path / "samples", replay=0)
