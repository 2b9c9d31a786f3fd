"""The last lines of a build: what was made, what was lost and why, and the command to type next."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from facerefs.pipeline.build.closing import closing_lines, empty_splits, result_sentence
from facerefs.pipeline.commands.build import BuildOptions, command_of
from facerefs.pipeline.dataset.result import BuildResult, Loss, build_result
from facerefs.pipeline.fetch.retry import Retry
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import TABLES
from facerefs.stages.engines.load import ParserEngine
from facerefs.stages.shard import Shard

ROWS: dict[str, list[dict[str, Any]]] = {
    "sources": [{"key": key} for key in "abcdefgh"] + [{"key": "i", "reject": Reject.BAD_ROW}],
    "downloads": [{"key": key} for key in "abcdefg"] + [{"key": "h", "reject": Reject.HOST_DOWN}],
    "images": [{"key": key} for key in "abcdef"] + [{"key": "g", "reject": Reject.CORRUPT}],
    "duplicates": [{"key": key} for key in "abcde"] + [{"key": "f", "reject": Reject.DUPLICATE_EXACT}],
    "faces": [
        *({"id": f"{key}-0", "key": key} for key in "abcd"),
        {"id": "c-1", "key": "c", "reject": Reject.FACE_TOO_SMALL},
        {"id": "d-1", "key": "d", "reject": Reject.FACE_CUT},
        {"id": "e-none", "key": "e", "reject": Reject.NO_FACE},
    ],
    "identities": [
        *({"face": f"{key}-0", "identity": "ann"} for key in "ab"),
        {"face": "c-0", "reject": Reject.UNLABELLED},
        {"face": "d-0", "identity": "bob"},
    ],
    "pairs": [
        {"target": "a-0", "reference": "b-0"},
        {"target": "d-0", "reference": "a-0", "reject": Reject.COPY},
        {"target": "d-0", "reject": Reject.NO_REFERENCE},
    ],
    "samples": [
        {
            "key": "a-0",
            "target": "a-0",
            "references": ["b-0", "a-0", "a-0"],
            "identity": "ann",
            "split": "train",
        },
    ],
}
SOUND = BuildResult(35, 9, 36, 36, (), {"train": 7, "val": 1, "test": 1})


def tables(folder: Path, rows: dict[str, list[dict[str, Any]]]) -> Storage:
    storage = Storage(str(folder))
    for table, some in rows.items():
        with storage.writing(table, "part-0", "fingerprint") as part:
            whole = [dict.fromkeys(TABLES[table].names) | row for row in some]
            part.add(pa.Table.from_pylist(whole, TABLES[table]))
    return storage


def test_each_lost_photo_counts_once_for_what_ended_its_furthest_face(tmp_path: Path) -> None:
    result = build_result(tables(tmp_path, ROWS))
    assert (result.samples, result.people, result.photos, result.photos_used) == (1, 1, 9, 2)
    assert {(loss.reason, loss.table): loss.photos for loss in result.losses} == {
        (Reject.BAD_ROW, "sources"): 1,
        (Reject.HOST_DOWN, "downloads"): 1,
        (Reject.CORRUPT, "images"): 1,
        (Reject.DUPLICATE_EXACT, "duplicates"): 1,
        (Reject.NO_FACE, "faces"): 1,
        (Reject.UNLABELLED, "identities"): 1,
        (Reject.NO_REFERENCE, "pairs"): 1,
    }
    assert result.split_people == {"train": 1, "val": 0, "test": 0}
    assert (result.references, result.synthesised) == (3, 2)
    assert "references  1 photo, 2 synthesised from their target" in [
        *closing_lines(result, Shard(), str(tmp_path), "")
    ]


def test_a_build_without_any_photo_has_a_result_too(tmp_path: Path) -> None:
    result = build_result(Storage(str(tmp_path)))
    assert (result.samples, result.photos, result.losses) == (0, 0, ())
    assert "0 samples of 0 people from 0 photos" in result_sentence(result)


def test_the_sentence_names_three_reasons_and_counts_the_rest() -> None:
    losses = [
        Loss(Reject.NO_FACE, "faces", 4),
        Loss(Reject.DUPLICATE_NEAR, "duplicates", 3),
        Loss(Reject.CORRUPT, "images", 2),
        Loss(Reject.EMPTY, "images", 1),
    ]
    assert result_sentence(replace(SOUND, photos_used=26, losses=tuple(losses))) == (
        "35 samples of 9 people from 36 photos; 10 photos lost: 4 no_face (no face was found in the photo), "
        "3 duplicate_near (a better copy of the photo is in the set), 2 corrupt (the image cannot be decoded), "
        "1 for other reasons"
    )
    assert result_sentence(SOUND) == "35 samples of 9 people from 36 photos; every photo is in a sample"


def test_what_may_heal_is_counted_and_its_command_can_be_copied() -> None:
    options = BuildOptions(
        source="my list.csv",
        out=Path("set"),
        contact="me@example.org",
        settings=("analyse.niqe=false",),
        workers=2,
    )
    losses = (Loss(Reject.HOST_DOWN, "downloads", 873), Loss(Reject.NOT_FOUND, "downloads", 5))
    again = shlex.join(command_of(options, Retry.TRANSIENT))
    *_, first, second = closing_lines(replace(SOUND, losses=losses, photos_used=0), Shard(), "set", again)
    assert "873 photos may still be had (873 host_down)" in first
    assert second.strip() == (
        "facerefs build 'my list.csv' --out set --contact me@example.org --workers 2 "
        "--set analyse.niqe=false --retry transient"
    )


@pytest.mark.parametrize(
    ("masks", "parser", "said"),
    [
        ({"bisenet": 8, "hull": 1}, "bisenet", "8 faces by bisenet, 1 face by hull, since bisenet found no face there"),
        ({"hull": 9}, "bisenet", "9 faces by hull, since bisenet found no face there"),
        ({"bisenet": 9}, "bisenet", "9 faces by bisenet"),
        ({"hull": 9}, "hull", "9 faces by hull"),
    ],
)  # fmt: skip
def test_the_engines_of_masks_are_counted(masks: dict[str, int], parser: ParserEngine, said: str) -> None:
    line, *_ = closing_lines(replace(SOUND, masks=masks), Shard(), "set", "", parser)
    assert line == f"masks       {said}"


def test_faces_in_samples_are_counted_by_the_engine_of_their_masks(tmp_path: Path) -> None:
    parsers = {"a-0": "bisenet", "b-0": "hull", "c-0": "bisenet"}  # c is in no sample
    faces = [row | {"parser": parsers.get(row["id"])} for row in ROWS["faces"]]
    result = build_result(tables(tmp_path, ROWS | {"faces": faces}))
    assert result.masks == {"bisenet": 1, "hull": 1}
    assert result.facts()["masks"] == result.masks


def test_what_to_do_next() -> None:
    *_, sound = closing_lines(SOUND, Shard(), "set", "")
    assert "facerefs verify set" in sound
    assert sound.endswith("facerefs train refine --data set --run set/runs/refine")
    nobody = replace(SOUND, split_people={"train": 9, "val": 0, "test": 0})
    *_, unvalidated = closing_lines(nobody, Shard(val_share=0, test_share=0), "set", "")
    assert unvalidated.endswith("--run set/runs/refine --set data.validation_split=train")
    nothing = replace(SOUND, samples=0, losses=(Loss(Reject.NO_FACE, "faces", 36),))
    *_, empty = closing_lines(nothing, Shard(), "set", "")
    assert "facerefs inspect set faces --rejected" in empty


@pytest.mark.parametrize(
    ("people", "shares", "said"),
    [
        ({"train": 9, "val": 0, "test": 0}, (0.05, 0.05), "shard.val_share=0.12 --set shard.test_share=0.12"),
        ({"train": 1, "val": 0, "test": 0}, (0.5, 0.5), "the set has only 1 person"),
        ({"train": 1, "val": 0, "test": 1}, (0.25, 0.25), "nobody is in val: the set has only 2 people"),
        ({"train": 9, "val": 0, "test": 0}, (0.0, 0.0), ""),
        ({"train": 7, "val": 1, "test": 1}, (0.05, 0.05), ""),
    ],
)
def test_a_split_that_stays_empty_is_said(
    people: dict[str, int], shares: tuple[float, float], said: str
) -> None:
    result = replace(SOUND, people=sum(people.values()), split_people=people)
    sentence = empty_splits(result, Shard(val_share=shares[0], test_share=shares[1]))
    assert said in sentence
    assert bool(said) == bool(sentence)
