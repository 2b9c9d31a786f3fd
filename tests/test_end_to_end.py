"""The whole way of a photo, on rendered people: through the command, into shards that others read."""

import csv
import json
import shutil
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import webdataset
from PIL import Image

from facerefs.pipeline.commands.demo.defect_scores import score_defects
from facerefs.pipeline.commands.demo.plant import DefectShares, plant_defects
from facerefs.pipeline.commands.demo.set_scores import score_pairs
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.tar import read_members
from facerefs.schemas.reject import Reject
from facerefs.schemas.theta import from_json
from facerefs.stages.degrade.apply_theta import degrade_exactly
from facerefs.stages.synthetic_people.folder import write_people
from tests.photo_server import photo_server
from tests.pipeline.commands.test_cli import facerefs
from tests.pipeline.folders import contents

SETTINGS = ["--set", "rows_per_part=4", "--set", "shard.shard_mb=2", "--set", "shard.val_share=0.3"]
QUICK = ["--set", "analyse.niqe=false"]  # NIQE is half of the analysis

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people") / "photos"
    list(write_people(folder, identities=6, per_identity=3, size_px=480, seed=3))
    return folder


@pytest.fixture(scope="module")
def build(photos: Path) -> Path:
    out = photos.parent / "build"
    result = facerefs("build", photos, "--out", out, "--workers", 2, "--labels", "trust", *SETTINGS)
    assert result.returncode == 0, result.stderr
    return out


@pytest.fixture
def changeable(photos: Path) -> Iterator[Path]:
    """The photos, where the build has found them, for a test that changes them: they are put back."""
    aside = photos.rename(photos.with_name("aside"))
    shutil.copytree(aside, photos)
    yield photos
    shutil.rmtree(photos)
    aside.rename(photos)


@pytest.fixture(scope="module")
def samples(build: Path) -> dict[str, dict[str, bytes]]:
    """Files of every sample, by key, read with nothing but the standard library."""
    found: dict[str, dict[str, bytes]] = {}
    for shard in sorted((build / "samples").glob("*.tar")):
        with tarfile.open(shard) as archive:
            for member in archive:
                key, _, name = member.name.partition(".")
                file = archive.extractfile(member)
                assert file is not None
                found.setdefault(key, {})[name] = file.read()
    return found


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"))


def test_nearly_every_photo_becomes_a_sample(samples: dict[str, dict[str, bytes]]) -> None:
    assert len(samples) >= 17  # of 18
    assert all(files.keys() == {"gt.jpg", "ref0.jpg", "lq.jpg", "json"} for files in samples.values())


def test_a_sample_says_where_its_photos_come_from(samples: dict[str, dict[str, bytes]], photos: Path) -> None:
    for files in samples.values():
        said = json.loads(files["json"])
        for face in (said["target"], *said["references"]):
            assert (photos / face["key"]).is_file()
            assert face["key"].split("/")[0] == said["identity"]
        assert said["references"][0]["key"] != said["target"]["key"]


def test_landmarks_lie_where_the_renderer_put_them(
    samples: dict[str, dict[str, bytes]], photos: Path
) -> None:
    lines = map(json.loads, (photos / "truth.jsonl").read_text().splitlines())
    truth = {line["path"]: np.array(line["landmarks"]) for line in lines}
    errors = []
    for files in samples.values():
        target = json.loads(files["json"])["target"]
        transform = np.array(target["transform"]).reshape(2, 3)
        true = truth[target["key"]] @ transform[:, :2].T + transform[:, 2]
        found = np.array(target["landmarks"])
        eyes = np.linalg.norm(true[36:42].mean(0) - true[42:48].mean(0))
        errors.append(np.linalg.norm(found[17:] - true[17:], axis=1).mean() / eyes)
    assert np.median(errors) < 0.06


def test_the_degraded_face_is_what_its_theta_makes(samples: dict[str, dict[str, bytes]]) -> None:
    for files in list(samples.values())[:4]:
        theta = from_json(json.dumps(json.loads(files["json"])["theta"]))
        truth = torch.from_numpy(pixels(files["gt.jpg"]).copy()).permute(2, 0, 1)[None].float() / 255
        assert degrade_exactly(truth, [theta])[0].jpeg == files["lq.jpg"]


def test_nobody_is_in_two_splits(build: Path) -> None:
    rows = Storage(str(build)).scan("samples", ("split", "identity")).to_pylist()
    splits = {(row["identity"], row["split"]) for row in rows}
    assert len(splits) == len({identity for identity, _ in splits})
    assert len({split for _, split in splits}) > 1


def test_webdataset_reads_the_shards(build: Path, samples: dict[str, dict[str, bytes]]) -> None:
    shards = [str(path) for path in sorted((build / "samples").glob("*.tar"))]
    read = list(webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"))
    assert [sample["__key__"] for sample in read] == list(samples)
    assert np.array_equal(read[0]["gt.jpg"], pixels(samples[read[0]["__key__"]]["gt.jpg"]))
    assert read[0]["json"]["recipe"] == "gfpgan"


def test_hugging_face_datasets_reads_the_shards(build: Path, samples: dict[str, dict[str, bytes]]) -> None:
    files = str(build / "samples" / "*.tar")
    read = datasets.load_dataset("webdataset", data_files=files, split="train", streaming=True)
    keys = [sample["__key__"] for sample in read]
    assert sorted(keys) == sorted(samples)


def test_the_index_cuts_a_sample_out_of_its_shard(build: Path, samples: dict[str, dict[str, bytes]]) -> None:
    for index in (build / "samples").glob("*.parquet"):
        for row in pq.read_table(index).to_pylist():
            place = row["files"]
            with (build / place["path"]).open("rb") as shard:
                shard.seek(place["offset"])
                cut = read_members(shard.read(place["length"]))
            assert {name.partition(".")[2]: data for name, data in cut.items()} == samples[row["key"]]


def test_a_changed_and_damaged_build_ends_as_a_new_one_without_workers_would(
    build: Path, changeable: Path, tmp_path: Path
) -> None:
    out, new = tmp_path / "build", tmp_path / "new"
    shutil.copytree(build, out)
    people = sorted(path for path in changeable.iterdir() if path.is_dir())
    shutil.rmtree(people[0])
    (people[1] / "000.jpg").rename(people[1] / "other-name.jpg")
    shutil.move(people[2] / "001.jpg", people[3] / "moved.jpg")
    shutil.copyfile(people[4] / "002.jpg", people[4] / "copy.jpg")
    damaged, tar = sorted((out / "faces").glob("*.parquet"))[-1], sorted((out / "samples").glob("*.tar"))[0]
    damaged.write_bytes(damaged.read_bytes()[:1000])
    tar.unlink()
    (out / "samples" / "train-00077.tar").write_bytes(b"what a killed run left of a shard")
    for folder, workers in ((out, ["--workers", 2]), (new, [])):
        result = facerefs("build", changeable, "--out", folder, *workers, "--labels", "trust", *SETTINGS)
        assert result.returncode == 0, result.stderr
    assert contents(out) == contents(new)
    said = (out / "samples" / "manifest.json").read_text()
    assert "train-00077" not in said


def test_planted_defects_are_found(tmp_path: Path) -> None:
    people = tmp_path / "photos"
    list(write_people(people, identities=8, per_identity=6, size_px=480, seed=5))
    truth = plant_defects(people, seed=1, shares=DefectShares(copies=0.2))
    result = facerefs("build", people, "--out", tmp_path / "build", *QUICK)
    assert result.returncode == 0, result.stderr
    storage = Storage(str(tmp_path / "build"))
    scores = {line.defect: line for line in score_defects(storage, truth)}
    assert scores["broken or faceless files"].recall == 1
    for kind in ("same bytes", "re-encoded", "mirrored"):
        assert scores[f"copies: {kind}"].recall == 1
    assert scores["copies found as photos"].wrong == 0
    assert scores["one photo under two names"].recall == 1
    assert scores["wrong labels"].recall == 1
    pairs = score_pairs(storage, truth)
    assert pairs.pairs > 40
    assert (pairs.of_copies, pairs.of_two_people, pairs.in_two_splits) == (0, 0, 0)
    dropped = {row["key"] for row in storage.scan("duplicates").to_pylist() if row["reject"]}
    assert dropped
    assert not dropped & set(storage.scan("faces").column("key").to_pylist())


def test_a_list_of_urls_becomes_samples_that_say_whom_their_photos_are_from(
    photos: Path, tmp_path: Path
) -> None:
    with photo_server() as server:
        rows = []
        for person in sorted(path for path in photos.iterdir() if path.is_dir())[:2]:
            for path in sorted(person.iterdir()):
                url = f"/{person.name}-{path.name}"
                server.photos[url] = path.read_bytes()
                rows.append((person.name, server.url(url), "CC BY 4.0", f"Photographer {person.name[-3:]}"))
        rows.append(("nobody", server.url("/gone.jpg"), "", ""))
        with (tmp_path / "list.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("name", "image_url", "license", "author"), *rows])
            file.write(f'"never closed,{server.url("/gone.jpg")},,\n')
        out = tmp_path / "build"
        result = facerefs(
            *("build", tmp_path / "list.csv", "--out", out, "--labels", "trust", "--contact", "a@b.example"),
            *("--allow-private-hosts", "--set", "fetch.host_rate_per_s=1000"),
            *(*SETTINGS, *QUICK),
        )
    assert result.returncode == 0, result.stderr
    assert server.agents == {"facerefs/0.1.0 (a@b.example)"}
    assert (
        result.stdout.count("a quotation mark opens in it") == 2
    )  # after the listing, and in the last lines
    said = [
        json.loads(data)
        for shard in sorted((out / "samples").glob("*.tar"))
        for name, data in read_members(shard.read_bytes()).items()
        if name.endswith(".json")
    ]
    assert len(said) >= 5  # of 6
    for sample in said:
        assert sample["target"]["url"].startswith("http://127.0.0.1:")
        assert sample["target"]["attribution"] == f"Photographer {sample['identity'][-3:]}"
        assert sample["target"]["licence"] == "CC BY 4.0"
    card = (out / "samples" / "README.md").read_text()
    assert "| CC BY 4.0 | 6 |" in card
    assert f"| Photographer {said[0]['identity'][-3:]} | 3 |" in card
    assert "| fetch | 7 | 1 | not_found 1 |" in card
    assert Reject.NOT_FOUND.sentence in (out / "report.html").read_text()
