"""`facerefs calibrate`, with real engines on a few rendered people, and the mistakes of a user."""

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from facerefs.pipeline.commands.calibrate import calibrate_command
from facerefs.pipeline.config.config import read_config
from facerefs.pipeline.errors import UserError
from facerefs.stages.copies.copy_augmentations import AUGMENTATIONS
from facerefs.stages.synthetic_people.folder import write_people

FEW = {"re-encoded": AUGMENTATIONS["re-encoded"], "mirrored": AUGMENTATIONS["mirrored"]}
SETTINGS = ["analyse.min_face_px=64", "analyse.min_sharpness=null"]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    list(write_people(folder, identities=3, per_identity=3, size_px=192, seed=1))
    return folder


def test_what_is_measured_is_printed_and_is_a_configuration(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("facerefs.stages.copies.calibrate.FEWEST_PEOPLE", 3)
    monkeypatch.setattr("facerefs.stages.copies.calibrate.FEWEST_PHOTOS", 6)
    monkeypatch.setattr("facerefs.pipeline.commands.calibrate.AUGMENTATIONS", FEW)
    (people / "person-000" / "broken.jpg").write_bytes(b"no photo")
    calibrate_command(str(people), None, SETTINGS, None)
    said = capsys.readouterr().out
    assert "photos      10 of 3 people" in said
    assert "analysed    9 photos with one face; 1 left out" in said
    assert "embedder    dlib-resnet-128" in said
    rows = {line[:28].strip(): line[28:].split() for line in said.splitlines()}
    assert rows["two photos of one person"][0] == "9"
    assert rows["photos of two people"][0] == "27"
    assert rows["all edited copies"][0] == "18"
    assert rows["two photos"][:2] == ["36", "0"]
    path = tmp_path / "measured.yaml"
    path.write_text(said[said.index("# measured on 9 pairs of one person") :])
    config = read_config(path)
    figures = yaml.safe_load(path.read_text())
    assert config.cluster.same == figures["cluster"]["same"]
    assert config.copies.rule.copy_similarity == figures["copies"]["rule"]["copy_similarity"]
    assert config.copies.rule.calibrated("unknown to all") == config.copies.rule


def test_too_few_people_are_refused_before_anything_is_analysed(people: Path) -> None:
    with pytest.raises(UserError, match=r"photos of 3 people with names .*: give at least 40 of 5"):
        calibrate_command(str(people), None, SETTINGS, None)


def test_one_photo_of_each_person_is_refused_before_anything_is_analysed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facerefs.stages.copies.calibrate.FEWEST_PEOPLE", 2)
    monkeypatch.setattr("facerefs.stages.copies.calibrate.FEWEST_PHOTOS", 2)
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"no photo")
    with pytest.raises(UserError, match="has one photo of each person: give several of each"):
        calibrate_command(str(tmp_path), None, SETTINGS, None)


def test_mistakes_are_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"there is no file or folder .*/none; SOURCE can be DIR"):
        calibrate_command(str(tmp_path / "none"), None, [], None)
    (tmp_path / "a.jpg").write_bytes(b"flat")
    with pytest.raises(UserError, match="0 photos of 0 people with names"):
        calibrate_command(str(tmp_path), None, [], None)
    with pytest.raises(UserError, match="choose embedded or insightface"):
        calibrate_command(str(tmp_path), None, [], "openface")
    with pytest.raises(UserError, match="there is no setting"):
        calibrate_command(str(tmp_path), None, ["analyse.none=1"], None)
    monkeypatch.setattr("facerefs.stages.copies.calibrate.FEWEST_PEOPLE", 1)
    monkeypatch.setattr("facerefs.stages.copies.calibrate.FEWEST_PHOTOS", 1)
    (tmp_path / "ann").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "ann" / name).write_bytes(b"no photo")
    with pytest.raises(UserError, match="no photo shows exactly one accepted face"):
        calibrate_command(str(tmp_path), None, [], None)


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_photos_in_tars_and_parquet_files_are_measured_too(
    kind: str,
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("facerefs.stages.copies.calibrate.FEWEST_PEOPLE", 2)
    monkeypatch.setattr("facerefs.stages.copies.calibrate.FEWEST_PHOTOS", 4)
    monkeypatch.setattr("facerefs.pipeline.commands.calibrate.AUGMENTATIONS", FEW)
    photos = [
        path for name in ("person-000", "person-001") for path in sorted((people / name).glob("*.jpg"))[:2]
    ]
    source = tmp_path / f"people.{kind}"
    if kind == "tar":
        with tarfile.open(source, "w") as tar:
            for number, path in enumerate(photos):
                _add(tar, f"{number}.jpg", path.read_bytes())
                _add(tar, f"{number}.json", json.dumps({"name": path.parent.name}).encode())
    else:
        names, data = [path.parent.name for path in photos], [path.read_bytes() for path in photos]
        pq.write_table(pa.table({"image": data, "name": names}), source)
    calibrate_command(str(source), None, SETTINGS, None)
    said = capsys.readouterr().out
    assert "photos      4 of 2 people" in said
    assert "analysed    4 photos with one face; 0 left out" in said


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def test_photos_that_must_be_fetched_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("name,url\nAnn,http://a.example/1.jpg\n")
    for source in (str(tmp_path / "people.csv"), "commons:Q76"):
        with pytest.raises(
            UserError, match="must be downloaded first, and calibrate reads only local photos"
        ):
            calibrate_command(source, None, [], None)
