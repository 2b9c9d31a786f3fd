"""Synthesised references in shards: written by the stage, read by the stream and by webdataset, checked by verify."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
import webdataset

from facerefs.pipeline.dataset import card
from facerefs.pipeline.inputs.shard import ShardInput
from facerefs.pipeline.runner.part_pool import PartTask
from facerefs.pipeline.runner.runner import PartWorker
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import FACES, PAIRS, loaded
from facerefs.stages.images.encode import ImageFormat, decode_image, encode_pixels
from facerefs.stages.synthesise.parameters import Synthesis, draw, draw_json
from facerefs.stages.synthesise.reference import synthesise_reference
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import View
from facerefs.trainers.check import check as training_check
from facerefs.trainers.models.refine import PRESETS
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.samples.prepare import FacePreparation
from tests.pipeline.folders import contents
from tests.pipeline.small_set import (
    COMPARED,
    MEASURED,
    SIZE_PX,
    SMALL,
    Files,
    face_id,
    files_of,
    rewrite,
    write_tables,
)
from tests.pipeline.verify.test_verify import check
from tests.stages.synthesise.faces import landmarks_of

PEOPLE = 6
Change = Callable[[dict[str, Any], Files], None]


def make_set(folder: Path, image_format: ImageFormat = "jpeg") -> Path:
    """People with two photos each: the first has the second as its reference, the second two synthesised ones.

    All faces have masks.
    """
    shard = replace(SMALL, image_format=image_format, val_share=0, test_share=0, shard_mb=1)
    storage = write_tables(folder, people=PEOPLE, masks=True)
    points = landmarks_of(draw_person(5, 0), View(), SIZE_PX).ravel().tolist()
    faces = storage.load_blobs(storage.read("faces", "part-a"), ("crop", "mask")).to_pylist()
    pairs = []
    for person in range(PEOPLE):
        first, second = face_id(person, 0), face_id(person, 1)
        about = dict.fromkeys(PAIRS.names) | {"identity": f"person {person}", "rank": 0}
        pairs.append(about | COMPARED | {"target": first, "reference": second})
        pairs += [
            about
            | {"target": second, "reference": second, "rank": rank, "strategy": "synthesised"}
            | {"synthesis": draw_json(0, second, rank)}
            for rank in range(2)
        ]
    with storage.writing("faces", "part-a", "fingerprint") as part:
        part.add(pa.Table.from_pylist([row | {"landmarks": points} for row in faces], loaded(FACES)))
    with storage.writing("pairs", "part-a", "fingerprint") as part:
        part.add(pa.Table.from_pylist(pairs, PAIRS))
    plan = ShardInput(storage, shard)
    for name in plan.names():
        PartWorker(shard, plan, storage).work(PartTask(name, "fingerprint"))
    card.write(storage, shard)
    return folder


@pytest.fixture(scope="module", params=get_args(ImageFormat))
def any_set(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp(request.param) / "build", request.param)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("sound") / "build")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "build"))


def samples(folder: Path) -> dict[str, Files]:
    return files_of(folder / "samples/train-00000.tar")


def test_a_sample_holds_what_its_pair_says(any_set: Path) -> None:
    face = face_id(0, 1)
    files = samples(any_set)[face]
    said = json.loads(files["json"])
    (ending,) = {name.partition(".")[2] for name in files if name.startswith("gt")}
    truth = decode_image(files[f"gt.{ending}"])
    for rank in range(2):
        drawn = draw(0, face, rank)
        entry = said["references"][rank]
        assert Synthesis(**entry["synthesis"]) == drawn
        assert entry["face"] == face
        assert entry["licence"] == "CC0"
        assert not entry.keys() & {"embedding", "similarity", "transform"}
        made, landmarks = synthesise_reference(truth, said["target"]["landmarks"], drawn)
        assert np.allclose(entry["landmarks"], landmarks, atol=1e-3)
        assert entry["yaw"] != said["target"]["yaw"]
        stored = decode_image(files[f"ref{rank}.{ending}"]).astype(int)
        assert np.abs(stored - made).mean() < (2 if ending == "jpg" else 1e-9)
        assert np.abs(stored - truth).mean() > 4


def test_photographs_are_as_they_were(any_set: Path) -> None:
    said = json.loads(samples(any_set)[face_id(0, 0)]["json"])
    (entry,) = said["references"]
    assert entry["face"] == face_id(0, 1)
    assert "synthesis" not in entry
    assert "embedding" in entry


def test_the_same_tables_give_the_same_bytes(sound: Path, tmp_path: Path) -> None:
    assert contents(make_set(tmp_path / "again") / "samples") == contents(sound / "samples")


def test_a_crop_is_read_once_where_the_reference_is_made_from_it(sound: Path) -> None:
    planned = ShardInput(Storage(str(sound)), SMALL)
    rows = [row for name in planned.names() for row in planned.read(name).to_pylist()]
    crops = {row["key"]: row["reference_crops"] for row in rows}
    assert crops[face_id(0, 1)] == [None, None]
    assert None not in crops[face_id(0, 0)]


def test_the_stream_and_webdataset_read_such_samples(any_set: Path) -> None:
    stored = samples(any_set)
    prepare = FacePreparation(size_px=SIZE_PX, references=2, flip_chance=0)
    prepared = [prepare(SampleRequest(at, 0, 0, at), files) for at, files in enumerate(stored.values())]
    batch = collate(prepared, references=2)
    made = [key for key in stored if key == face_id(0, 1)]
    at = list(stored).index(made[0])
    assert prepared[at].sample.references[0].embedding.size == 0
    assert batch.reference_embeddings.shape == (2 * PEOPLE, 2, 2)
    assert (batch.reference_embeddings[at] == 0).all()
    read = webdataset.WebDataset(str(any_set / "samples/train-00000.tar"), shardshuffle=False).decode("rgb8")
    found = {sample["__key__"]: sample for sample in read}
    assert found[face_id(0, 1)]["json"]["references"][0]["synthesis"] == vars(draw(0, face_id(0, 1), 0))


def test_verify_synthesises_them_again(any_set: Path) -> None:
    assert check(any_set, replay=2 * PEOPLE) == []


def test_the_card_counts_them(sound: Path) -> None:
    text = (sound / "samples/README.md").read_text()
    assert f"{2 * PEOPLE} references are made from their target." in text
    assert f"{2 * PEOPLE} of the {3 * PEOPLE} references are not photos" in text


def change_json(change: Callable[[dict[str, Any]], None]) -> Change:
    """Change the first synthesised reference of a sample's JSON."""

    def changed(row: dict[str, Any], files: Files) -> None:
        said = json.loads(files["json"])
        if "synthesis" in said["references"][0]:
            change(said["references"][0])
            files["json"] = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()

    return changed


def forged(row: dict[str, Any], files: Files) -> None:
    """The target itself in the place of a reference that is said to be synthesised."""
    if "synthesis" in json.loads(files["json"])["references"][0]:
        files["ref0.jpg"] = files["gt.jpg"]


def touched_up(row: dict[str, Any], files: Files) -> None:
    if "synthesis" in json.loads(files["json"])["references"][0]:
        pixels = decode_image(files["ref0.jpg"]).copy()
        pixels[30:34, 30:34] = 0
        files["ref0.jpg"] = encode_pixels(pixels, "jpeg", 98)


def masked_as_the_target(row: dict[str, Any], files: Files) -> None:
    if "synthesis" in json.loads(files["json"])["references"][0]:
        files["mask0.png"] = files["mask.png"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (masked_as_the_target, "mask0 that the target's mask and the synthesis do not give"),
        (forged, "ref0 that its ground truth and synthesis do not give"),
        (touched_up, "ref0 that its ground truth and synthesis do not give"),
        (change_json(lambda one: one["synthesis"].update(yaw_deg=3.0)), "do not give"),
        (change_json(lambda one: one["landmarks"][0].__setitem__(0, 5.0)), "do not give"),
        (
            change_json(lambda one: one["synthesis"].update(yaw_deg=300)),
            "yaw_deg is a number (-30 to 30), not 300",
        ),
        (change_json(lambda one: one["synthesis"].pop("gain")), "references.0.synthesis.gain is missing"),
        (change_json(lambda one: one.update(synthesis="zoom")), "synthesis is an object, not 'zoom'"),
        (change_json(lambda one: one.update(landmarks=[[1e3, 0]] * 68)), "no landmarks in its image"),
        (change_json(lambda one: one.update(landmarks=[[0, 0], [1]])), "landmarks is not finite numbers"),
        (change_json(lambda one: one.update(landmarks={})), "landmarks is not finite numbers"),
        (
            change_json(lambda one: one.update(landmarks=[[10**400, 0]] * 68)),
            "landmarks is not finite numbers",
        ),
        (change_json(lambda one: one.pop("synthesis")), "references.0.transform is missing"),
        (
            change_json(lambda one: [one.pop("synthesis"), one.update(MEASURED | COMPARED)]),
            "is the target itself",
        ),
    ],
)
def test_a_forged_reference_is_found(folder: Path, change: Change, why: str) -> None:
    rewrite(folder, "train-00000", change, samples=2 * PEOPLE)
    faults = check(folder, replay=2 * PEOPLE)
    assert len(faults) >= PEOPLE
    assert all(why in fault or "more faults" in fault for fault in faults)


def test_a_synthesised_reference_of_somebody_else_is_found(folder: Path) -> None:
    def change(row: dict[str, Any], files: Files) -> None:
        said = json.loads(files["json"])
        if "synthesis" not in said["references"][0]:
            said["references"][0]["synthesis"] = vars(Synthesis())
            files["json"] = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()

    rewrite(folder, "train-00000", change, samples=2 * PEOPLE)
    assert "is synthesised, and not from the target" in check(folder)[0]


def test_invalid_landmarks_cost_only_their_own_sample(tmp_path: Path) -> None:
    make_set(tmp_path)
    storage = Storage(str(tmp_path))
    plan = ShardInput(storage, SMALL)
    planned = storage.load_blobs(plan.read(plan.names()[0]), SMALL.loads)
    rows = planned.to_pylist()
    broken = next(row for row in rows if row["references"][0]["synthesis"])
    broken["target"]["landmarks"] = [float(i // 2) for i in range(136)]
    out = SMALL.process(pa.Table.from_pylist(rows, planned.schema)).to_pylist()
    assert [row["reject"] for row in out if row["key"] == broken["key"]] == ["no_reference"]
    assert all(row["files"] for row in out if row["key"] != broken["key"])


def test_a_model_that_takes_embeddings_refuses_references_without_one(folder: Path) -> None:
    samples, model = folder / "samples", PRESETS["tiny"]
    on_train = replace(model, data=replace(model.data, validation_split="train"))
    with pytest.raises(
        ValueError, match=rf"made from their target \(at least {2 * PEOPLE}\).*select.synthesise=0"
    ):
        training_check(on_train, [str(samples)], 1)
    (samples / "manifest.json").unlink()  # no index tells: the first samples do
    with pytest.raises(ValueError, match=r"made from their target.*select.synthesise=0"):
        training_check(on_train, [str(samples)], 1)
    alone = replace(on_train, data=replace(on_train.data, references=0))
    assert training_check(alone, [str(samples)], 1).synthesised
