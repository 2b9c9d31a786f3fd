"""Each export read as its program reads it: by the program itself where it is installed, else by its rules."""

import glob
import importlib.util
import json
import os
from ast import literal_eval
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facerefs.stages.sources.labels_file import read_labels
from tests.pipeline.export.sets import export, rows_of
from tests.pipeline.export.test_export import pixels, stored
from tests.pipeline.small_set import SIZE_PX, make_set, rewrite
from tests.stages.degrade.basicsr_oracle import basicsr_module
from tests.stages.degrade.oracle import needs_basicsr

needs_gfpgan = pytest.mark.skipif(
    importlib.util.find_spec("gfpgan") is None or importlib.util.find_spec("basicsr") is None,
    reason="gfpgan is not installed: pip install --no-deps gfpgan",
)
Records = dict[str, dict[str, Any]]


def records_of(build: Path, split: str) -> Records:
    """The JSON of each sample, and its ground truth's pixels, by its name: the face of its target."""
    return {
        json.loads(files["json"])["target"]["face"]: json.loads(files["json"])
        | {"pixels": pixels(next(data for name, data in files.items() if name.startswith("gt.")))}
        for files in stored(build, split).values()
    }


def as_pixels(tensor: torch.Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] to uint8 (H, W, 3)."""
    return (tensor.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


@needs_basicsr
@pytest.mark.parametrize("layout", ["basicsr", "basicsr-lmdb"])
@pytest.mark.parametrize("recipe", ["severe", "moderate", None])
def test_basicsr_reads_pairs(
    layout: str, recipe: str | None, one_recipe: Path, two_recipes: Path, tmp_path: Path
) -> None:
    build = one_recipe if recipe is None else two_recipes
    out, suffix = tmp_path / "out", "" if recipe is None else f"_{recipe}"
    export(build, layout, out)
    options: dict[str, Any] = {"phase": "val", "scale": 1}
    if layout == "basicsr":
        options |= {"dataroot_gt": str(out / "gt"), "dataroot_lq": str(out / f"lq{suffix}")}
        options |= {"meta_info_file": str(out / f"meta_info{suffix}.txt"), "io_backend": {"type": "disk"}}
    else:
        options |= {"dataroot_gt": str(out / "gt.lmdb"), "dataroot_lq": str(out / f"lq{suffix}.lmdb")}
        options |= {"io_backend": {"type": "lmdb"}}
    read = basicsr_module("basicsr.data.paired_image_dataset").PairedImageDataset(options)
    records = records_of(build, "train")
    assert len(read) == len(records) > 8
    plain = tmp_path / "plain"
    export(build, "folders", plain, "train")
    for pair in read:
        name = Path(pair["gt_path"]).stem
        assert np.array_equal(as_pixels(pair["gt"]), records.pop(name)["pixels"])
        assert np.array_equal(as_pixels(pair["lq"]), pixels(plain / f"lq{suffix}" / f"{name}.png"))
    assert not records


@needs_basicsr
@needs_gfpgan
def test_gfpgan_reads_faces_and_components(one_recipe: Path, tmp_path: Path) -> None:
    export(one_recipe, "gfpgan", tmp_path / "out")
    module = _gfpgan_dataset()
    options = {
        "dataroot_gt": str(tmp_path / "out" / f"ffhq_{SIZE_PX}.lmdb"),
        "component_path": str(tmp_path / "out" / f"FFHQ_eye_mouth_landmarks_{SIZE_PX}.pth"),
        "io_backend": {"type": "lmdb"},
        "crop_components": True,
        "eye_enlarge_ratio": 1.4,
        "out_size": SIZE_PX,
        "use_hflip": False,
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
        "kernel_list": ["iso"],
        "kernel_prob": [1],
        "blur_kernel_size": 21,
        "blur_sigma": [1, 2],
        "downsample_range": [1, 2],
        "noise_range": [0, 9],
        "jpeg_range": [60, 100],
    }
    read, records = module.FFHQDegradationDataset(options), records_of(one_recipe, "train")
    assert len(read) == len(records)
    for face in read:
        record = records.pop(face["gt_path"])
        assert np.array_equal(as_pixels(face["gt"]), record["pixels"])
        points = np.array(record["target"]["landmarks"])
        for part, numbers, enlarge in (
            ("left_eye", slice(36, 42), 1.4),
            ("right_eye", slice(42, 48), 1.4),
            ("mouth", slice(48, 68), 1),
        ):
            half = np.ptp(points[numbers], axis=0).max() / 2 * enlarge
            centre = points[numbers].mean(axis=0)
            assert np.allclose(face[f"loc_{part}"], [*(centre - half + 1), *(centre + half)], atol=1e-3)


def _gfpgan_dataset() -> ModuleType:
    """The module of the dataset alone: the package imports face detectors."""
    basicsr_module("basicsr.data.degradations")
    found = importlib.util.find_spec("gfpgan")
    assert found is not None
    assert found.origin is not None
    file = Path(found.origin).parent / "data" / "ffhq_degradation_dataset.py"
    spec = importlib.util.spec_from_file_location("gfpgan_dataset", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    registry = basicsr_module("basicsr.utils.registry").DATASET_REGISTRY
    registry._obj_map.pop("FFHQDegradationDataset", None)
    spec.loader.exec_module(module)
    # It gives OpenCV 5 a quality that it refuses.
    module.degradations.random_add_jpg_compression = lambda image, _: image  # type: ignore[attr-defined]
    return module


def test_gfpgans_component_file_counts_the_faces_of_the_lmdb(two_recipes: Path, tmp_path: Path) -> None:
    import lmdb

    export(two_recipes, "gfpgan", tmp_path / "out", "all")
    folder = tmp_path / "out" / f"ffhq_{SIZE_PX}.lmdb"
    file = tmp_path / "out" / f"FFHQ_eye_mouth_landmarks_{SIZE_PX}.pth"
    components = torch.load(file, weights_only=True)
    lines = (folder / "meta_info.txt").read_text().splitlines()
    assert list(components) == [f"{number:08d}" for number in range(len(lines))]
    assert len(lines) == 24
    records = {
        name: record
        for split in ("train", "val", "test")
        for name, record in records_of(two_recipes, split).items()
    }
    with lmdb.open(str(folder), readonly=True, lock=False) as file, file.begin() as images:
        for line, places in zip(lines, components.values(), strict=True):
            record = records.pop(line.split(".")[0])
            assert np.array_equal(pixels(images.get(line.split(".")[0].encode())), record["pixels"])
            assert line.endswith(f".webp ({SIZE_PX},{SIZE_PX},3) 1")
            assert list(places) == ["left_eye", "right_eye", "mouth"]
            eye = np.array(record["target"]["landmarks"])[36:42]
            assert np.allclose(places["left_eye"], [*eye.mean(axis=0), np.ptp(eye, axis=0).max() / 2])


def test_refldm_reads_its_lists(two_recipes: Path, tmp_path: Path) -> None:
    """By the rules of `ldm/data/ir.py` and `scripts/eval.py`."""
    out = tmp_path / "out"
    export(two_recipes, "refldm", out)
    images = out / f"images{SIZE_PX}x{SIZE_PX}"
    faces: dict[str, np.ndarray] = {}
    for split in ("train", "val", "test"):
        faces |= {name: record["pixels"] for name, record in records_of(two_recipes, split).items()}
    for recipe in ("severe", "moderate"):
        table = pd.read_csv(out / f"test_references_{recipe}.csv")
        assert list(table.columns) == ["gt_image", "ref_image", "lq_image"]
        records = records_of(two_recipes, "test")
        assert len(table) == len(records)
        for _, row in table.iterrows():
            record = records.pop(Path(row["gt_image"]).stem)
            assert np.array_equal(pixels(images / row["gt_image"]), record["pixels"])
            references = literal_eval(row["ref_image"])
            assert [Path(name).stem for name in references] == [face["face"] for face in record["references"]]
            for name in references:
                assert np.array_equal(pixels(images / name), faces[Path(name).stem])
            with Image.open(out / f"lq_{recipe}" / row["lq_image"]) as degraded:
                assert degraded.size == (SIZE_PX, SIZE_PX)
            assert (images / f"{Path(row['lq_image']).stem}.png").is_file()
    training = pd.read_csv(out / "train_references.csv")
    assert list(training.columns) == ["gt_image", "ref_image"]
    assert sorted(training["gt_image"]) == sorted(f"{name}.png" for name in records_of(two_recipes, "train"))
    assert len(list(images.iterdir())) == len(faces) == 24  # no face is there twice


def test_dmdnet_reads_its_lists(one_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the rules of `main_test.py`."""
    export(one_recipe, "dmdnet", tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    records = records_of(one_recipe, "test")
    lines = [line.strip() for line in Path("SpecificLists.txt").read_text().split("\n") if line]
    assert len(lines) == len(records)
    assert Path("GenericLists.txt").read_text().split() == [line.split("\t")[0] for line in lines]
    for line in lines:
        degraded, references, landmarks = line.split("\t")
        record = records.pop(Path(degraded).stem)
        assert cv2.imread(degraded, cv2.IMREAD_UNCHANGED).shape == (SIZE_PX, SIZE_PX, 3)
        names = [path.name for path in Path(references).iterdir()]
        assert len(names) == len(list(Path(landmarks).iterdir())) == 2
        for name in names:
            assert cv2.imread(f"{references}/{name}", cv2.IMREAD_UNCHANGED).shape == (SIZE_PX, SIZE_PX, 3)
            with Path(landmarks, f"{name}.txt").open() as file:
                read = [[float(word) for word in text.split(" ") if word != "\n"] for text in file]
            points = np.reshape(np.array(read), [-1, 2])
            truth = np.array(record["references"][int(Path(name).stem)]["landmarks"])
            assert np.allclose(
                (points + 0.5) * SIZE_PX / 512 - 0.5, truth, atol=1e-3
            )  # it enlarges to 512 px


def test_faces_that_dmdnet_skips_are_said(tmp_path: Path) -> None:
    make_set(tmp_path / "set", people=2)
    lines = export(tmp_path / "set", "dmdnet", tmp_path / "out", "all")
    assert "note        4 targets have fewer than 2 references" in "\n".join(lines)
    assert (tmp_path / "out" / "SpecificLists.txt").read_text() == ""
    assert len((tmp_path / "out" / "GenericLists.txt").read_text().split()) == 4


@pytest.mark.parametrize("lossless", [True, False])
def test_codeformer_finds_each_face_by_its_name(
    lossless: bool, one_recipe: Path, two_recipes: Path, tmp_path: Path
) -> None:
    """By the rules of `ffhq_blind_dataset.py` and `generate_latent_gt.py`."""
    build = two_recipes if lossless else one_recipe
    export(build, "codeformer", tmp_path / "out")
    folder = tmp_path / "out" / f"ffhq_{SIZE_PX}"
    records = records_of(build, "train")
    found = sorted(glob.glob(os.path.join(folder, "*.[jp][pn]g")))  # noqa: PTH118, PTH207 (as there)
    assert len(found) == len(list(folder.iterdir())) == len(records)
    for path in found:
        record = records.pop(os.path.basename(path)[:-4])  # noqa: PTH119
        assert np.array_equal(cv2.imread(path)[..., ::-1], record["pixels"])
    kept = {row["pixels"] for row in rows_of(tmp_path / "out")}
    assert kept == ({"PNG of the stored"} if lossless else {"stored"})


def test_an_ffhq_folder_keeps_who_is_who(one_recipe: Path, tmp_path: Path) -> None:
    export(one_recipe, "ffhq", tmp_path / "out")
    folder = tmp_path / "out" / f"images{SIZE_PX}x{SIZE_PX}"
    records = records_of(one_recipe, "train")
    labels = read_labels(tmp_path / "out" / "labels.csv", folder)
    entries = json.loads((tmp_path / "out" / "ffhq-dataset-v2.json").read_text())
    assert list(entries) == [str(number) for number in range(len(records))]
    bytes_of = {
        json.loads(files["json"])["target"]["face"]: files["gt.jpg"]
        for files in stored(one_recipe, "train").values()
    }
    for entry in entries.values():
        path = tmp_path / "out" / entry["image"]["file_path"]
        record = records.pop(path.stem)
        assert path.read_bytes() == bytes_of[path.stem]
        assert labels.of(path.name) == record["identity"]
        assert entry["image"]["face_landmarks"] == record["target"]["landmarks"]
        assert entry["metadata"]["license"] == "CC0"
    assert not records


def test_coco_landmarks_of_each_split(two_recipes: Path, tmp_path: Path) -> None:
    export(two_recipes, "coco", tmp_path / "out")
    for split in ("train", "val", "test"):
        tree = json.loads((tmp_path / "out" / f"keypoints_{split}.json").read_text())
        records = records_of(two_recipes, split)
        (category,) = tree["categories"]
        assert len(category["keypoints"]) == len(set(category["keypoints"])) == 68
        assert {number for line in category["skeleton"] for number in line} == set(range(1, 69))
        assert len(tree["images"]) == len(tree["annotations"]) == len(records)
        by_image = {one["image_id"]: one for one in tree["annotations"]}
        for image in tree["images"]:
            record, found = records.pop(Path(image["file_name"]).stem), by_image[image["id"]]
            with Image.open(tmp_path / "out" / "images" / image["file_name"]) as opened:
                assert opened.size == (image["width"], image["height"]) == (SIZE_PX, SIZE_PX)
            points = np.reshape(found["keypoints"], (68, 3))
            truth = np.array(record["target"]["landmarks"])
            assert np.allclose(points[:, :2], truth)
            assert set(points[:, 2]) == {2}
            x, y, width, height = found["bbox"]
            assert np.allclose(
                [x, y, x + width, y + height], [*truth.min(axis=0), *truth.max(axis=0)], atol=2e-3
            )
            assert found["identity"] == record["identity"]


def test_references_made_elsewhere_keep_their_own_name_and_licence(tmp_path: Path) -> None:
    make_set(tmp_path / "set", people=2)
    name = next(path.stem for path in (tmp_path / "set" / "samples").glob("*.tar"))

    def change(row: dict[str, Any], files: dict[str, bytes]) -> None:
        record = json.loads(files["json"])
        record["references"][0]["elsewhere"] = {"folder": "edits", "file": "a.png", "licence": "CC BY"}
        files["json"] = json.dumps(record, sort_keys=True).encode()

    rewrite(tmp_path / "set", name, change)
    export(tmp_path / "set", "refldm", tmp_path / "out")
    (made,) = (row for row in rows_of(tmp_path / "out") if "elsewhere" in row["licence"])
    assert made["file"].endswith(f"/{made['sample']}-ref0.png")
    assert made["licence"] == "CC0; of what was made elsewhere: CC BY"
