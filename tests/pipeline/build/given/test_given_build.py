"""A build by published pairs and splits: they are taken as they are, and what the guards say is reported."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facerefs.pipeline.audit.audit import audit
from facerefs.pipeline.build.closing import closing_lines
from facerefs.pipeline.config.config import read_config
from facerefs.pipeline.dataset.funnel import funnel
from facerefs.pipeline.dataset.result import build_result
from facerefs.pipeline.report.sections.facts import read_plan
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.tar import read_members
from facerefs.pipeline.verify.verify import manifest_of, samples_in, verify
from facerefs.schemas.guard import Guard
from facerefs.schemas.manifest import Manifest
from facerefs.schemas.reject import Reject
from facerefs.stages.images.encode import decode_image
from facerefs.stages.shard import Shard
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.dataset import SampleDataset
from facerefs.trainers.stream.samples.prepare import FacePreparation
from tests.pipeline.published_set import Published, build_published

Files = dict[str, bytes]


def samples_of(storage: Storage) -> dict[str, tuple[dict[str, Any], Files]]:
    """The JSON and the files of each sample, by the name of its target's photo."""
    found = {}
    for row in storage.scan("samples").to_pylist():
        data = storage.read_blob(**row["files"])
        assert data is not None
        files = {name.partition(".")[2]: one for name, one in read_members(data).items()}
        said = json.loads(files["json"])
        found[said["target"]["key"]] = said, files
    return found


def named_pairs(storage: Storage) -> list[dict[str, Any]]:
    """The rows of `pairs`, with names of photos in place of faces."""
    keys = {row["id"]: row["key"] for row in storage.scan("faces", ("id", "key")).to_pylist()}
    rows = storage.scan("pairs").to_pylist()
    return [row | {end: keys.get(row[end], row[end]) for end in ("target", "reference")} for row in rows]


def faults_of(storage: Storage) -> list[str]:
    samples = samples_in(storage.root)
    manifest = manifest_of(samples)
    assert isinstance(manifest, Manifest)
    return [fault.line() for fault in verify(samples, manifest, 4, lambda *of_shard: None).faults]


def test_samples_have_the_published_references_in_their_order(
    published: Published, published_build: tuple[Storage, str]
) -> None:
    samples = samples_of(published_build[0])
    assert {name: [one["key"] for one in said["references"]] for name, (said, _) in samples.items()} == (
        published.references
    )
    assert {name: said["split"] for name, (said, _) in samples.items()} == published.splits


def test_ground_truths_have_the_pixels_of_the_files(
    published: Published, published_build: tuple[Storage, str]
) -> None:
    for name, (_, files) in samples_of(published_build[0]).items():
        with Image.open(published.images / name) as image:
            np.testing.assert_array_equal(decode_image(files["gt.png"]), np.asarray(image))


def test_what_the_guards_would_have_refused_is_reported(
    published: Published, published_build: tuple[Storage, str]
) -> None:
    storage, _ = published_build
    found: dict[str, set[tuple[str, str]]] = {}
    for row in named_pairs(storage):
        for guard in row["guards"] or ():
            found.setdefault(guard, set()).add((row["target"], row["reference"]))
    assert found[Guard.COPY] == published.copies
    assert found[Guard.STRANGER] >= published.strangers
    said = "\n".join(closing_lines(build_result(storage), Shard(), "set", "again"))
    assert "6 copy" in said
    assert "published; 0 lines of them not used" in said
    assert faults_of(storage) == []


@pytest.fixture
def changed(published: Published, published_build: tuple[Storage, str], tmp_path: Path) -> Iterator[Path]:
    """A copy of the build, to be brought up to date with other lists, which are put back."""
    lists = shutil.copytree(published.pairs_file.parent, tmp_path / "aside")
    yield Path(shutil.copytree(published_build[0].root, tmp_path / "set"))
    shutil.copytree(lists, published.pairs_file.parent, dirs_exist_ok=True)


def test_a_changed_list_is_taken_and_its_mistakes_are_named(published: Published, changed: Path) -> None:
    lines = published.pairs_file.read_text().splitlines()
    own = "00004.png"
    others = published.references[own]
    rows = [
        f'{own},"{[own, *others, others[0], "77777.png"]}"',
        "99999.png,00001.png",
        f'00006.png,"{["88888.png"]}"',
        f"{own},\"['broken'",
        f"{own},{published.references['00006.png'][0]}",
    ]
    published.pairs_file.write_text("\n".join([lines[0], *rows, ""]))
    storage, said = build_published(published, changed)
    given = [row for row in named_pairs(storage) if row["given_row"] is not None]
    assert [(row["given_row"], row["reject"]) for row in given] == [
        (0, Reject.SELF_REFERENCE),
        *[(0, None)] * len(others),
        (0, Reject.NAMED_TWICE),
        (0, Reject.PHOTO_UNKNOWN),
        (1, Reject.PHOTO_UNKNOWN),
        (2, Reject.PHOTO_UNKNOWN),
        (3, Reject.BAD_PUBLISHED_ROW),
        (4, None),
        (2, Reject.NO_REFERENCE),
    ]
    (only,) = samples_of(storage).values()
    assert [one["rank"] for one in only[0]["references"]] == list(range(len(others) + 1))
    assert "analyse     nothing to do" in said
    lost = {str(one.reason): one.photos for one in build_result(storage).losses}
    assert lost[Reject.NOT_PUBLISHED] + lost[Reject.NO_REFERENCE] + len(others) + 2 == len(published.person)


def test_without_the_lists_pairs_are_chosen_and_splits_drawn_again(
    published: Published, changed: Path
) -> None:
    storage, said = build_published(published, changed, "given.pairs=[]", "given.splits=[]")
    assert not any(storage.parts(table) for table in ("given_pairs", "given_splits", "splits"))
    assert "analyse     nothing to do" not in said  # near copies are dropped again
    assert {row["strategy"] for row in storage.scan("pairs").to_pylist()} == {"landmark_nearest"}
    found = audit(storage, read_config(None, base=dict(read_plan(storage)["config"])))
    assert (found.pairs.pairs > 0, found.published) == (True, None)
    assert (found.pairs.guards[Guard.COPY], found.splits.strays, found.splits.shots) == (0, [], [])
    assert faults_of(storage) == []


def test_a_face_that_a_person_dropped_is_in_no_pair(published: Published, changed: Path) -> None:
    faces = Storage.at(changed).scan("faces", ("id", "key")).to_pylist()
    dropped = next(face["id"] for face in faces if face["key"] == "00004.png")
    (changed / "overrides.csv").write_text(f"decision,what,other,comment\ndrop,{dropped},,asked to\n")
    storage, _ = build_published(published, changed)
    samples = samples_of(storage)
    assert "00004.png" not in samples
    assert all("00004.png" not in [one["key"] for one in said["references"]] for said, _ in samples.values())
    rows = [row for row in named_pairs(storage) if row["reject"] == Reject.DROPPED_BY_PERSON]
    named = sum("00004.png" in references for references in published.references.values())
    assert len(rows) == named + 1
    (step,) = (step for step in funnel(storage) if step.stage == "select")
    assert step.passed == len(samples)


def test_a_published_degraded_image_is_stored_and_goes_into_batches(
    published: Published, changed: Path
) -> None:
    folder = published.pairs_file.parent
    pixels = {}
    for name, size in (("00004.png", 512), ("00005.png", 128), ("00006.png", 100)):
        image = Image.open(published.images / name).resize((size, size))
        image.save(folder / f"lq_{name}")
        pixels[name] = np.asarray(image)
    rows = [f"{name},{published.references[name][0]},lq_{name}" for name in pixels]
    rows.append(f"00007.png,{published.references['00007.png'][0]},")
    published.pairs_file.write_text("\n".join(["gt_image,ref_image,lq_image", *rows, ""]))
    storage, _ = build_published(
        published, changed, "given.splits=[]", "shard.val_share=0", "shard.test_share=0"
    )
    samples = {row["key"]: row for row in storage.scan("samples").to_pylist()}
    rejected = [row for row in samples.values() if row["reject"] is not None]
    assert [row["reject"] for row in rejected] == [Reject.BAD_DEGRADED]
    assert "100 x 100 px" in rejected[0]["reject_detail"]
    assert sorted(row["recipe"] for row in samples.values()) == ["gfpgan", "given", "given", "given"]
    assert faults_of(storage) == []
    preparation = FacePreparation(size_px=512, references=1, flip_chance=0)
    prepared = list(SampleDataset(f"{storage.root}/samples", preparation, "train", 0))
    by_photo = {}
    for one in prepared:
        (said,) = (row for row in samples.values() if row["key"] == one.sample.key)
        key = next(
            row["key"]
            for row in storage.scan("faces", ("id", "key")).to_pylist()
            if row["id"] == said["target"]
        )
        by_photo[key] = one.sample
    for name in ("00004.png", "00005.png"):
        np.testing.assert_array_equal(by_photo[name].degraded, pixels[name])
        assert by_photo[name].is_given
        assert by_photo[name].theta == ()
    assert not by_photo["00007.png"].is_given
    assert collate(prepared, 1).has_given
