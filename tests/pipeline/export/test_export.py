"""`facerefs export` as a whole: what is written, refused, continued, counted, and where it comes from."""

import io
import json
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.export import export_folder
from facerefs.pipeline.export.layouts import LAYOUTS
from facerefs.pipeline.storage.lock import locked
from facerefs.schemas.manifest import parse
from tests.pipeline.export.sets import contents, export, rows_of, summary_of
from tests.pipeline.small_set import files_of, make_set, rewrite

Pixels = np.ndarray


def pixels(data: bytes | Path) -> Pixels:
    file = data if isinstance(data, Path) else io.BytesIO(data)
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def stored(build: Path, split: str = "test") -> dict[str, dict[str, bytes]]:
    return {
        key: files
        for tar in sorted((build / "samples").glob(f"{split}-*.tar"))
        for key, files in files_of(tar).items()
    }


def test_plain_folders_hold_the_stored_pixels_and_the_input_of_networks(
    one_recipe: Path, tmp_path: Path
) -> None:
    lines = export(one_recipe, "folders", tmp_path / "out")
    samples = stored(one_recipe)
    assert len(samples) == 6
    for folder in ("gt", "lq", "ref", "ref1"):
        assert sorted(path.stem for path in (tmp_path / "out" / folder).iterdir()) == sorted(samples)
    for key, files in samples.items():
        at = lambda folder, key=key: pixels(tmp_path / "out" / folder / f"{key}.png")  # noqa: E731
        assert np.array_equal(at("gt"), pixels(files["gt.jpg"]))
        assert np.array_equal(at("ref"), pixels(files["ref0.jpg"]))
        assert np.array_equal(at("ref1"), pixels(files["ref1.jpg"]))
        small = pixels(files["lq.jpg"])
        # OpenCV's bilinear of 8 bits has fewer fractional bits than ours.
        import cv2

        by_opencv = cv2.resize(small.astype(np.float64), (64, 64), interpolation=cv2.INTER_LINEAR)
        assert np.abs(at("lq") - by_opencv).max() <= 0.5 + 1e-6
    assert "exported    6 samples of 2 people (split test) as folders: 27 files" in lines[-1]
    assert lines[-2] == "not held    6 degradation parameters (theta), 18 landmarks of faces"


def test_each_file_leads_back_to_its_sample_photo_and_licence(two_recipes: Path, tmp_path: Path) -> None:
    export(two_recipes, "folders", tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    manifest = parse((two_recipes / "samples" / "manifest.json").read_bytes())
    assert summary_of(tmp_path / "out")["fingerprint"] == manifest.fingerprint
    assert (tmp_path / "out" / "photos.csv").read_bytes() == (
        two_recipes / "samples" / "photos.csv"
    ).read_bytes()
    samples = stored(two_recipes)
    assert {row["sample"] for row in rows} == set(samples)
    images = {name for name in contents(tmp_path / "out") if name.endswith(".png")}
    assert {row["file"] for row in rows} == images
    for row in rows:
        record = json.loads(samples[row["sample"]]["json"])
        number = row["kind"].removeprefix("ref")
        face = record["references"][int(number)] if number.isdecimal() else record["target"]
        assert (row["face"], row["photo"], row["photo_sha256"]) == (face["face"], face["key"], face["image"])
        assert (row["licence"], row["url"], row["page"]) == (face["licence"], face["url"], face["page"])
        assert (row["identity"], row["split"], row["recipe"]) == (
            record["identity"],
            "test",
            record["recipe"],
        )


def test_a_target_of_two_recipes_is_written_once_with_both_degraded_faces(
    two_recipes: Path, tmp_path: Path
) -> None:
    export(two_recipes, "folders", tmp_path / "out")
    names = {
        folder: {path.name for path in (tmp_path / "out" / folder).iterdir()}
        for folder in ("gt", "ref", "ref1")
    }
    for recipe in ("severe", "moderate"):
        folder = tmp_path / "out" / f"lq_{recipe}"
        assert {path.name for path in folder.iterdir()} == names["gt"] == names["ref"] == names["ref1"]
    assert len(names["gt"]) == 6
    assert summary_of(tmp_path / "out")["samples"] == 12
    assert summary_of(tmp_path / "out")["left_out"]["masks"] == 18


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_writes_the_same_bytes_again_after_a_kill_too(
    layout: str, two_recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = export(two_recipes, layout, tmp_path / "one", "all")
    assert lines[-1].startswith("exported    48 samples of 8 people (all splits)")
    assert (tmp_path / "one" / "README.md").read_text().count(f"`{layout}`")
    for image in (tmp_path / "one").rglob("*.png"):
        pixels(image)

    class KilledError(BaseException):
        """As a signal ends it."""

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(export_folder.ExportFolder, "finish", killed)
        with pytest.raises(KilledError):
            export(two_recipes, layout, tmp_path / "two", "all")
    assert not (tmp_path / "two" / "export.json").exists()
    (tmp_path / "two" / ".tmp-file").write_bytes(b"half")
    export(two_recipes, layout, tmp_path / "two", "all")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert not [name for name in contents(tmp_path / "two") if ".tmp" in name or "unfinished" in name]


def test_a_finished_export_is_left_alone_and_others_never_mix(
    one_recipe: Path, two_recipes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export(one_recipe, "folders", out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert export(one_recipe, "folders", out)[-1].startswith("nothing     to do")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    for place, split in ((two_recipes, "test"), (one_recipe, "train")):
        with pytest.raises(UserError, match=r"holds an export of split test as folders.*choose a new folder"):
            export(place, "folders", out, split)


def test_a_folder_with_other_files_is_refused(one_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(UserError, match="holds other files and no export"):
        export(one_recipe, "folders", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UserError, match="is a file"):
        export(one_recipe, "folders", tmp_path / "mine.txt")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "export.json").write_text("[" * 10_000)
    with pytest.raises(UserError, match="holds another export"):
        export(one_recipe, "folders", tmp_path / "strange")


def test_mistakes_end_in_one_sentence(one_recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--to cannot be 'coc': choose folders"):
        export(one_recipe, "coc", tmp_path / "out")
    with pytest.raises(UserError, match="--split cannot be 'tset': choose train, val, test or all"):
        export(one_recipe, "folders", tmp_path / "out", "tset")
    with pytest.raises(UserError, match="no finished training set"):
        export(tmp_path, "folders", tmp_path / "out")
    with pytest.raises(UserError, match="--out cannot be an address"):
        export(one_recipe, "folders", Path("s3://bucket/out"))
    with pytest.raises(
        UserError, match="no samples of split 'test', it has val; choose another with --split"
    ):
        export(make_set(tmp_path / "tiny", people=1), "folders", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_shard_is_never_exported(one_recipe: Path, tmp_path: Path) -> None:
    shutil.copytree(one_recipe / "samples", tmp_path / "copy")
    tar = next((tmp_path / "copy").glob("test-*.tar"))
    data = bytearray(tar.read_bytes())
    data[len(data) // 2] ^= 1
    tar.write_bytes(data)
    with pytest.raises(UserError, match="is damaged, or of another build"):
        export(tmp_path / "copy", "folders", tmp_path / "out")
    assert not (tmp_path / "out" / "export.json").exists()


def test_texts_of_hostile_sources_are_no_formulas(tmp_path: Path) -> None:
    make_set(tmp_path, people=2)

    def change(row: dict, files: dict[str, bytes]) -> None:
        record = json.loads(files["json"])
        record["identity"] = row["identity"] = "=cmd|' /C calc'!A0"
        record["target"] |= {
            "licence": "@SUM(1)\n,x",
            "url": "javascript:alert(1)",
            "key": "../../etc/passwd",
        }
        files["json"] = json.dumps(record, sort_keys=True).encode()

    name = next(path.stem for path in (tmp_path / "samples").glob("*.tar"))
    rewrite(tmp_path, name, change)
    export(tmp_path, "folders", tmp_path / "out", "all")
    row = next(row for row in rows_of(tmp_path / "out") if "cmd" in row["identity"])
    assert row["identity"].startswith("'=")
    assert (row["licence"], row["url"]) == ("'@SUM(1) ,x", "")
    assert all(
        (tmp_path / "out").resolve() in path.resolve().parents for path in (tmp_path / "out").rglob("*")
    )


def test_a_set_at_an_address_is_exported_as_a_local_one(
    one_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    answers = partial(SimpleHTTPRequestHandler, directory=str(one_recipe))
    server = ThreadingHTTPServer(("127.0.0.1", 0), answers)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        export(f"http://127.0.0.1:{server.server_port}/samples", "ffhq", tmp_path / "remote")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    export(one_recipe / "samples", "ffhq", tmp_path / "local")
    assert contents(tmp_path / "remote") == contents(tmp_path / "local")


def test_two_exports_never_write_into_one_folder_at_a_time(one_recipe: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "out"), pytest.raises(UserError, match="another command is writing"):
        export(one_recipe, "folders", tmp_path / "out")
