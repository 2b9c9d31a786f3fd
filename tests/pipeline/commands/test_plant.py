"""The demo's defects: the truth describes what was planted, and the scores count correctly what was found."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from facerefs.pipeline.commands.demo.copies import KINDS
from facerefs.pipeline.commands.demo.defect_scores import score_defects
from facerefs.pipeline.commands.demo.plant import DefectShares, Misnamed, PhotoTruth, plant_defects
from facerefs.pipeline.commands.demo.set_scores import score_pairs, score_people
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from tests.hostile import encoded, portrait
from tests.pipeline.report.test_report import add

PEOPLE, PHOTOS = 10, 12
SHARES = DefectShares(copies=0.2, second_names=0.25, wrong_labels=0.1, split_names=0.1, merged_names=0.1)


def people(folder: Path) -> Path:
    for person in range(PEOPLE):
        home = folder / f"person-{person:03d}"
        home.mkdir(parents=True)
        for number in range(PHOTOS):
            (home / f"{number:03d}.jpg").write_bytes(encoded(portrait(40, 40, 100 * person + number), "JPEG"))
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[PhotoTruth]]:
    photos = people(tmp_path_factory.mktemp("people") / "photos")
    return photos, plant_defects(photos, 1, SHARES)


def test_the_truth_is_about_every_file_and_in_the_shares_that_were_asked_for(
    planted: tuple[Path, list[PhotoTruth]],
) -> None:
    photos, truth = planted
    files = {str(path.relative_to(photos)) for path in photos.rglob("*") if path.is_file()}
    assert {photo.path for photo in truth} == files
    assert len(truth) == len(files)
    assert all(photo.path.startswith(f"{photo.label}/") for photo in truth)
    rendered = [photo for photo in truth if photo.person and not photo.copy_of]
    assert len(rendered) == PEOPLE * PHOTOS
    copies = Counter(photo.copy_kind for photo in truth if photo.copy_of)
    assert copies == dict.fromkeys(KINDS, 3)
    assert Counter(photo.misnamed for photo in truth if photo.misnamed) == {
        Misnamed.WRONG_LABEL: 12,
        Misnamed.SECOND_NAME: 6,
        Misnamed.SPLIT_NAME: PHOTOS // 2,
        Misnamed.MERGED_NAME: PHOTOS,
    }
    named = {photo.label for photo in rendered if photo.misnamed in (None, Misnamed.SPLIT_NAME)}
    assert {photo.label for photo in truth} == named


def test_no_photo_has_two_defects(planted: tuple[Path, list[PhotoTruth]]) -> None:
    by_path = {photo.path: photo for photo in planted[1]}
    for photo in by_path.values():
        if photo.copy_of:
            original = by_path[photo.copy_of]
            assert (original.misnamed, original.copy_of, original.person) == (None, None, photo.person)
            assert (photo.label != original.label) == (photo.misnamed is Misnamed.SECOND_NAME)


def test_the_same_seed_plants_the_same(planted: tuple[Path, list[PhotoTruth]], tmp_path: Path) -> None:
    again = people(tmp_path / "again")
    assert plant_defects(again, 1, SHARES) == planted[1]
    assert plant_defects(people(tmp_path / "other"), 2, SHARES) != planted[1]
    for photo in planted[1]:
        assert (again / photo.path).read_bytes() == (planted[0] / photo.path).read_bytes()


def test_nothing_is_planted_if_nothing_is_asked_for(tmp_path: Path) -> None:
    truth = plant_defects(people(tmp_path / "photos"), 1, DefectShares(0, 0, 0, 0, 0))
    assert all(photo.misnamed is None and photo.copy_of is None for photo in truth)


def decided(storage: Storage, truth: list[PhotoTruth], mistakes: bool = False) -> None:
    """The tables of a build that found everything, or (mistakes) nothing, and besides dropped what was right."""
    for photo in truth:
        assert "\n" not in photo.path
    names = {photo.path: f"{number:016x}-0" for number, photo in enumerate(truth)}
    images, duplicates, faces, identities, copies = [], [], [], [], []
    for photo in truth:
        reject = photo.fault if not mistakes and photo.fault != Reject.NO_FACE else None
        images.append({"key": photo.path, "reject": reject})
        face = {"id": names[photo.path], "key": photo.path}
        if photo.fault is not None:
            faces += (
                [face | {"reject": Reject.NO_FACE}] if photo.fault == Reject.NO_FACE and not mistakes else []
            )
        elif photo.copy_kind == "same bytes" and not mistakes:
            kept = {"kept_key": photo.copy_of, "kept": False, "kind": "exact"}
            duplicates.append({"key": photo.path, "reject": Reject.DUPLICATE_EXACT, **kept})
        else:
            faces.append(face)
            identities.append({"face": face["id"], "label": photo.label, **_verdict(photo, mistakes)})
            if photo.copy_of and not mistakes:
                copies.append({"face": face["id"], "other": names[photo.copy_of], "kind": "copy"})
    for table, rows in zip(
        ("images", "duplicates", "faces", "identities", "copies"),
        (images, duplicates, faces, identities, copies),
        strict=True,
    ):
        add(storage, table, rows)


def _verdict(photo: PhotoTruth, mistakes: bool) -> dict[str, Any]:
    if mistakes:
        return {"identity": photo.label, "decision": "kept"}
    match photo.misnamed:
        case Misnamed.WRONG_LABEL:
            return {"identity": photo.person, "decision": "corrected"}
        case Misnamed.SPLIT_NAME:
            return {"identity": photo.person, "decision": "merged"}
        case Misnamed.MERGED_NAME:
            return {"identity": photo.person, "decision": "split"}
        case Misnamed.SECOND_NAME:
            return {"decision": "dropped", "reject": Reject.SECOND_NAME}
    return {"identity": photo.person, "decision": "kept"}


def test_a_build_that_found_everything_has_only_ones(
    planted: tuple[Path, list[PhotoTruth]], tmp_path: Path
) -> None:
    storage = Storage(str(tmp_path))
    decided(storage, planted[1])
    scores = {line.defect: line for line in score_defects(storage, planted[1])}
    assert scores.pop("copies found as photos").found == 3
    assert scores.pop("the rest, refused references").planted == 0
    assert {name: (line.recall, line.precision) for name, line in scores.items()} == dict.fromkeys(
        scores, (1, 1)
    )
    agreement = score_people(storage, planted[1])
    assert (agreement.people, agreement.identities) == (PEOPLE, PEOPLE)
    assert (agreement.pairwise_f, agreement.bcubed_f) == (1, 1)


def test_a_build_that_found_nothing_has_only_zeros(
    planted: tuple[Path, list[PhotoTruth]], tmp_path: Path
) -> None:
    storage = Storage(str(tmp_path))
    decided(storage, planted[1], mistakes=True)
    assert {line.defect: line.found for line in score_defects(storage, planted[1]) if line.found} == {}
    agreement = score_people(storage, planted[1])
    assert 0 < agreement.pairwise_f < 0.95
    assert 0 < agreement.bcubed_f < 0.95


def test_wrong_decisions_are_counted(planted: tuple[Path, list[PhotoTruth]], tmp_path: Path) -> None:
    storage, truth = Storage(str(tmp_path)), planted[1]
    decided(storage, truth, mistakes=True)
    shots = {photo.shot for photo in truth if photo.copy_of}
    clean = [
        i for i, photo in enumerate(truth) if photo.person and not photo.misnamed and photo.shot not in shots
    ]
    a, b, c, d = (f"{number:016x}-0" for number in clean[:4])
    path = {f"{number:016x}-0": photo.path for number, photo in enumerate(truth)}
    wrong = [
        {"face": a, "decision": "dropped", "reject": Reject.WRONG_LABEL},
        {"face": b, "decision": "corrected", "identity": "stage-name-1"},
        {"face": c, "decision": "merged", "label": truth[clean[2]].label, "identity": "stage-name-1"},
        {"face": d, "decision": "dropped", "reject": Reject.SECOND_NAME},
    ]
    add(storage, "identities", wrong, "part-b")
    add(storage, "copies", [{"face": a, "other": b, "kind": "copy"}], "part-b")
    add(
        storage,
        "duplicates",
        [{"key": path[a], "kept_key": path[c], "reject": Reject.DUPLICATE_NEAR}],
        "part-b",
    )
    pairs = [{"target": a, "reference": b}, {"target": a, "reference": c, "reject": "copy"}]
    add(storage, "pairs", pairs)
    assert {line.defect: line.wrong for line in score_defects(storage, truth) if line.wrong} == {
        "copies found as photos": 1,
        "the others, found as faces": 1,
        "one photo under two names": 1,
        "wrong labels": 3,
        "moved to the right person": 1,
        "one person under two names": 1,
    }
    assert score_pairs(storage, truth).pairs == 1
