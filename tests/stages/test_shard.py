"""The shard stage: formats, order and bytes of what a sample holds."""

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pyarrow as pa
import pytest
import simplejpeg
import torch
from PIL import Image

from facerefs.pipeline.dataset.manifest import recipes_of
from facerefs.pipeline.inputs.shard import ShardInput
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.sections.samples import samples as samples_section
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.verify.verify import manifest_of, samples_in, verify
from facerefs.schemas.manifest import Manifest
from facerefs.schemas.reject import Reject
from facerefs.schemas.sample import IMAGE_TYPES
from facerefs.schemas.tables import SAMPLE_PLAN, TABLES
from facerefs.schemas.theta import from_json
from facerefs.stages.degrade.apply_theta import degrade_exactly
from facerefs.stages.images.encode import ImageFormat, decode_image, decode_mask, encode_crop
from facerefs.stages.shard import Shard
from facerefs.trainers.stream.samples.decode import decode_sample
from tests.pipeline.folders import contents
from tests.pipeline.small_set import (
    SMALL,
    crop,
    face_id,
    files_of,
    make_samples,
    make_set,
    mask,
    write_tables,
)

FORMATS: tuple[ImageFormat, ...] = get_args(ImageFormat)
CROPS = {face_id(person, number): crop(person, number) for person in range(2) for number in range(3)}


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


def read(samples: Path) -> dict[str, dict[str, bytes]]:
    return {key: files for tar in sorted(samples.glob("*.tar")) for key, files in files_of(tar).items()}


@pytest.fixture(scope="module", params=FORMATS)
def samples(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shard = replace(SMALL, image_format=request.param)
    return make_set(tmp_path_factory.mktemp(request.param), shard, people=2, photos=3, references=2)


def test_the_same_tables_give_the_same_bytes(samples: Path, tmp_path: Path) -> None:
    image_format = {"jpg": "jpeg"}.get(ending := ending_of(samples), ending)
    again = make_set(tmp_path, replace(SMALL, image_format=image_format), people=2, photos=3, references=2)
    assert contents(again) == contents(samples)


def ending_of(samples: Path) -> str:
    (ending,) = {
        kind.partition(".")[2] for files in read(samples).values() for kind in files if kind.startswith("gt")
    }
    return ending


def test_members_are_in_order_without_times_and_users(samples: Path) -> None:
    for path in samples.glob("*.tar"):
        with tarfile.open(path) as archive:
            members = archive.getmembers()
        names = [member.name for member in members]
        assert names == sorted(names)
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {
            (0, 0, 0, "", "", 0o644)
        }
        assert all(member.isreg() for member in members)
        keys = [name.partition(".")[0] for name in names]
        assert all(json.loads(files["json"])["key"] == key for key, files in files_of(path).items())
        assert keys == sorted(keys)


def test_a_sample_holds_ground_truth_references_the_degraded_face_and_json(samples: Path) -> None:
    ending = ending_of(samples)
    wanted = [f"gt.{ending}", "json", "lq.jpg", f"ref0.{ending}", f"ref1.{ending}"]
    assert {tuple(files) for files in read(samples).values()} == {tuple(wanted)}
    assert read(samples).keys() == CROPS.keys()


def test_faces_are_the_crops_exactly_or_nearly(samples: Path) -> None:
    ending = ending_of(samples)
    for key, files in read(samples).items():
        said = json.loads(files["json"])
        faces = [key, *(reference["face"] for reference in said["references"])]
        for kind, face in zip(("gt", "ref0", "ref1"), faces, strict=True):
            pixels = decode_image(files[f"{kind}.{ending}"])
            if ending == "jpg":
                assert psnr_db(pixels, decode_image(CROPS[face])) > 42
            else:
                assert np.array_equal(pixels, decode_image(CROPS[face]))


def test_the_degraded_face_is_made_from_the_stored_ground_truth(samples: Path) -> None:
    ending = ending_of(samples)
    changed = 0
    for key, files in list(read(samples).items())[:3]:
        theta = from_json(json.dumps(json.loads(files["json"])["theta"]))
        stored, first = (
            degrade_exactly(
                torch.from_numpy(decode_image(data).copy()).permute(2, 0, 1)[None].float() / 255, [theta]
            )
            for data in (files[f"gt.{ending}"], CROPS[key])
        )
        assert stored[0].jpeg == files["lq.jpg"]
        changed += stored[0].jpeg != first[0].jpeg
    assert (changed > 0) == (ending == "jpg")


def test_every_decoder_reads_the_same_ground_truth(samples: Path) -> None:
    for files in read(samples).values():
        data = files[f"gt.{ending_of(samples)}"]
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert np.array_equal(
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1], pixels
        )
        if ending_of(samples) == "jpg":
            assert np.array_equal(simplejpeg.decode_jpeg(data), pixels)


def test_jpegs_keep_all_of_the_colour() -> None:
    data = encode_crop(CROPS[face_id(0, 0)], "jpeg", 95)
    assert simplejpeg.decode_jpeg_header(data)[3] == "444"
    assert len(encode_crop(CROPS[face_id(0, 0)], "jpeg", 100)) > len(data)
    assert encode_crop(CROPS[face_id(0, 0)], "png", 95) == CROPS[face_id(0, 0)]
    assert IMAGE_TYPES.keys() == set(FORMATS)


def test_masks_are_stored_as_they_were_made_and_named_by_engine(tmp_path: Path) -> None:
    samples = make_set(tmp_path, SMALL, people=2, photos=3, references=2, masks=True)
    masks = {
        face_id(person, number): (mask(number), ("toy", "hull")[number % 2])
        for person in range(2)
        for number in range(3)
    }
    for key, files in read(samples).items():
        said = json.loads(files["json"])
        for kind, face in zip(("mask", "mask0", "mask1"), (said["target"], *said["references"]), strict=True):
            assert (files[f"{kind}.png"], face["parser"]) == masks[face["face"]]
        assert said["target"]["face"] == key
        sample = decode_sample(files)
        assert np.array_equal(sample.target.mask, decode_mask(files["mask.png"]))
        assert len([one.mask for one in sample.references if one.mask is not None]) == 2
    card = (samples / "README.md").read_text()
    assert "2 by `hull`, 4 by `toy`" in card
    assert "name: mask1.png" in card
    storage = Storage(str(tmp_path))
    assert all(one.mask is not None for one in samples_section(storage, Album(storage)).samples)
    assert {"mask", "mask0", "mask1"} <= {
        one["name"] for one in json.loads((samples / "croissant.json").read_text())["recordSet"]
    }


def test_a_recipe_without_jpeg_gives_png(tmp_path: Path) -> None:
    samples = make_set(tmp_path, replace(SMALL, recipe="bicubic"), people=1)
    assert {kind for files in read(samples).values() for kind in files if kind.startswith("lq")} == {"lq.png"}


def test_a_list_of_recipes_gives_each_target_a_sample_of_each(tmp_path: Path) -> None:
    one = read(make_set(tmp_path / "one", replace(SMALL, recipe="severe"), people=3))
    samples = make_set(tmp_path / "two", replace(SMALL, recipe=("severe", "moderate")), people=3)
    two = read(samples)
    assert two.keys() == {f"{key}-{recipe}" for key in one for recipe in ("moderate", "severe")}
    for key, files in two.items():
        target, _, recipe = key.rpartition("-")
        about = json.loads(files["json"])
        assert (about["key"], about["recipe"]) == (key, recipe)
        assert {name: files[name] for name in ("gt.jpg", "ref0.jpg")} == {
            name: one[target][name] for name in ("gt.jpg", "ref0.jpg")
        }
    for target in one:
        assert two[f"{target}-moderate"]["lq.jpg"] != two[f"{target}-severe"]["lq.jpg"]
    folder = samples_in(samples)
    manifest = manifest_of(folder)
    assert isinstance(manifest, Manifest)
    assert [recipe.name for recipe in recipes_of(manifest)] == ["severe", "moderate"]
    assert verify(folder, manifest, replay=6, shard_done=lambda *_: None).faults == []
    assert "recipes `severe` and `moderate`" in (samples / "README.md").read_text()


def test_a_published_degraded_image_stands_for_all_recipes(tmp_path: Path) -> None:
    storage = write_tables(tmp_path, people=2)
    target = face_id(0, 0)
    file = tmp_path / "published.png"
    Image.fromarray(np.full((16, 16, 3), 77, np.uint8)).save(file)
    place = {"path": str(file), "offset": 0, "length": file.stat().st_size}
    given = {"row": 0, "degraded": place, "degraded_file": file.name}
    given["degraded_sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    row = dict.fromkeys(TABLES["given_pairs"].names) | given
    with storage.writing("given_pairs", "part-00000", "0" * 64) as part:
        part.add(pa.Table.from_pylist([row], TABLES["given_pairs"]))
    pairs = storage.read("pairs", "part-a")
    rows = pa.array([0 if one == target else None for one in pairs["target"].to_pylist()], pa.int32())
    at = pairs.column_names.index("given_row")
    storage.replace_rows("pairs", "part-a", pairs.set_column(at, "given_row", rows), "given")

    make_samples(storage, replace(SMALL, recipe=("severe", "moderate")))
    made = read(tmp_path / "samples")
    others = {
        f"{face_id(*one)}-{recipe}" for one in ((0, 1), (1, 0), (1, 1)) for recipe in ("moderate", "severe")
    }
    assert made.keys() == {target, *others}
    about = json.loads(made[target]["json"])
    assert (about["recipe"], about["theta"], about["given"]["file"]) == ("given", [], "published.png")
    assert (decode_image(made[target]["lq.png"]) == 77).all()
    folder = samples_in(tmp_path)
    manifest = manifest_of(folder)
    assert isinstance(manifest, Manifest)
    assert verify(folder, manifest, replay=7, shard_done=lambda *_: None).faults == []


def test_one_recipe_that_does_not_end_with_jpeg_makes_all_degraded_faces_png(tmp_path: Path) -> None:
    samples = make_set(tmp_path, replace(SMALL, recipe=("severe", "bicubic_x8")), people=1)
    assert {kind for files in read(samples).values() for kind in files if kind.startswith("lq")} == {"lq.png"}


@pytest.mark.parametrize(
    ("recipe", "why"),
    [((), "1 to 16"), (("severe",) * 2, "severe twice"), (("severe", "sever"), "not 'sever'")],
)
def test_a_list_of_recipes_that_cannot_be(recipe: tuple[str, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Shard(recipe=recipe)


def test_a_sample_without_one_of_its_crops_is_rejected(tmp_path: Path) -> None:
    make_set(tmp_path, people=1)
    storage = Storage(str(tmp_path))
    faces = storage.read("faces", "part-a").to_pylist()
    row = {"target": faces[0] | {"face": faces[0]["id"]}, "references": [], "split": "val", "identity": "ann"}
    planned = pa.Table.from_pylist(
        [{"key": key, **row, "target_crop": None, "reference_crops": [None]} for key in ("a", "b")],
        SAMPLE_PLAN,
    )
    for name, values in {"target_crop": [None, b"x"], "reference_crops": [[], [None]]}.items():
        array = pa.array(values, pa.large_binary() if name == "target_crop" else pa.list_(pa.large_binary()))
        planned = planned.set_column(planned.column_names.index(name), name, array)
    out = Shard().process(planned)
    assert out.column("reject").to_pylist() == [Reject.CHANGED] * 2
    assert out.column("files").null_count == 2


@pytest.mark.parametrize("column", ["crop", "mask"])
def test_a_sample_with_a_damaged_crop_or_mask_is_rejected(tmp_path: Path, column: str) -> None:
    make_set(tmp_path, SMALL, people=1, photos=3, masks=True)
    storage = Storage(str(tmp_path))
    damaged = storage.read("faces", "part-a").to_pylist()[0]
    with (tmp_path / damaged[column]["path"]).open("r+b") as tar:
        tar.seek(damaged[column]["offset"])
        tar.write(b"no PNG")
    plan = ShardInput(storage, SMALL)
    rows = pa.concat_tables(
        SMALL.process(storage.load_blobs(plan.read(name), SMALL.loads)) for name in plan.names()
    )
    said = {
        row["key"]: (damaged["id"] in (row["target"], *row["references"]), row["reject"])
        for row in rows.to_pylist()
    }
    assert {reject for is_of_it, reject in said.values() if is_of_it} == {Reject.CHANGED}
    assert {reject for is_of_it, reject in said.values() if not is_of_it} == {None}
