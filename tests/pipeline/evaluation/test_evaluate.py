"""`facerefs evaluate`: outputs of runs and of other programs, side by side with baselines."""

import csv
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import facerefs
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.evaluate import evaluate_command
from facerefs.pipeline.evaluation.options import EvaluateOptions
from facerefs.pipeline.evaluation.result import Evaluation
from facerefs.trainers.losses.lpips import Lpips
from facerefs.trainers.models.catalogue import MODULES
from tests.pipeline.restoring.test_restore import made_run
from tests.pipeline.restoring.toy_restorer import Toy
from tests.pipeline.small_set import SIZE_PX, files_of, make_set

ONLY_PIXELS = tuple(
    f"weights.{name}=none" for name in ("alexnet", "vgg16", "inception", "identity", "landmarks")
)
FAST = ("weights.alexnet=random", "weights.vgg16=none", "weights.inception=none", "resamples=200")


class Place:
    """A set of 8 people, and the outputs of two programs: one gives the ground truths back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = make_set(folder / "set", people=8, photos=2)
        self.files: dict[str, dict[str, bytes]] = {}
        for tar in sorted(self.data.glob("train-*.tar")):
            self.files |= files_of(tar)
        self.keys = sorted(self.files)
        perfect, noisy = folder / "perfect", folder / "noisy"
        perfect.mkdir()
        noisy.mkdir()
        for number, key in enumerate(self.keys):
            image = self.truth(key)
            Image.fromarray(image).save(perfect / f"{key}.png")
            if number:  # the first has no output
                changed = image + np.random.default_rng(number).integers(-20, 21, image.shape)
                Image.fromarray(changed.clip(0, 255).astype(np.uint8)).save(noisy / f"{key}_00.png")
        Image.fromarray(image).save(noisy / "someone-else.png")
        (noisy / "notes.txt").write_text("not a picture")
        made_run(folder / "toy", "toy", model=Toy(size_px=SIZE_PX))
        made_run(folder / "small", "toy", model=Toy(size_px=32))

    def truth(self, key: str) -> np.ndarray:
        name = next(name for name in self.files[key] if name.startswith("gt."))
        path = self.folder / name
        path.write_bytes(self.files[key][name])
        return np.asarray(Image.open(path).convert("RGB")).copy()

    def judge(self, *methods: str, **words: Any) -> Evaluation:
        named = tuple(str(self.folder / method) for method in methods)
        options = {"data": str(self.data), "split": "train", "device": "cpu", "settings": FAST}
        options |= {"cache": self.folder / "cache"} | words
        return evaluate_command(EvaluateOptions(named, **options), Console(quiet=True))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(MODULES, "toy", "tests.pipeline.restoring.toy_restorer")
        yield Place(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture(scope="module")
def found(place: Place) -> Evaluation:
    return place.judge("perfect", "noisy", "toy", out=place.folder / "out")


def figure(found: Evaluation, method: str, metric: str) -> float:
    mean = next(one for one in found.methods if one.name == method).figures[metric].mean
    assert mean is not None
    return mean


def test_a_program_that_gives_the_truth_back_is_perfect(found: Evaluation) -> None:
    assert [one.name for one in found.methods] == [
        "degraded",
        "pasted",
        "reference",
        "perfect",
        "noisy",
        "toy",
    ]
    expected = {"psnr": 100, "ssim": 1, "lpips_alex": 0, "landmark_error": 0, "isc": 1, "deg": 0}
    for metric, value in expected.items():
        assert figure(found, "perfect", metric) == pytest.approx(value, abs=0.05), metric
    assert figure(found, "perfect", "iprecision") == figure(found, "perfect", "irecall") == 1
    assert found.best(next(metric for metric in found.metrics if metric.name == "psnr")) == "perfect"


def test_psnr_and_ssim_of_a_folder_are_those_of_scikit_image(place: Place, found: Evaluation) -> None:
    row = found.figures.methods.index("noisy")
    for number, sample in enumerate(found.figures.samples):
        if not (path := place.folder / "noisy" / f"{sample.key}_00.png").is_file():
            assert np.isnan(found.figures.values["psnr"][row, number])
            continue
        made, truth = np.asarray(Image.open(path)), place.truth(sample.key)
        psnr = peak_signal_noise_ratio(truth, made)
        words = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        whole = structural_similarity(truth, made, channel_axis=2, data_range=255, full=True, **words)[1]
        assert found.figures.values["psnr"][row, number] == pytest.approx(psnr, abs=1e-6)
        assert found.figures.values["ssim"][row, number] == pytest.approx(whole[5:-5, 5:-5].mean(), abs=1e-6)


def test_what_is_missing_left_over_or_not_computed_is_said(place: Place, found: Evaluation) -> None:
    noisy = next(one for one in found.methods if one.name == "noisy")
    assert noisy.outputs == len(place.keys) - 1 == found.samples - 1
    assert any("1 sample of" in note and place.keys[0] in note for note in found.notes)
    assert any("1 file of no sample" in note and "someone-else.png" in note for note in found.notes)
    assert found.not_computed["lpips_vgg"] == "weights.vgg16 is `none`"
    assert "needs faces of 192 px, not 64 px" in found.not_computed["niqe"]
    assert "pyiqa" in found.not_computed["musiq"]
    assert set(found.not_computed) == {"lpips_vgg", "fid", "niqe", "musiq", "ifqa"}
    assert found.networks["isc"].name == "dlib-resnet-128"
    assert len(found.networks["isc"].sha256) == 64
    assert found.networks["lpips_alex"].random


def test_the_files_hold_what_was_found(place: Place, found: Evaluation) -> None:
    out = place.folder / "out"
    tree = json.loads((out / "evaluation.json").read_text())
    by_name = {one["name"]: one["figures"] for one in tree["methods"]}
    assert by_name["noisy"]["psnr"]["mean"] == figure(found, "noisy", "psnr")
    assert (
        by_name["noisy"]["psnr"]["low"] < by_name["noisy"]["psnr"]["mean"] < by_name["noisy"]["psnr"]["high"]
    )
    assert tree["metrics"]["isc"]["sha256"] == found.networks["isc"].sha256
    with (out / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    own = [float(row["psnr"]) for row in rows if row["method"] == "noisy"]
    assert np.mean(own) == pytest.approx(figure(found, "noisy", "psnr"))
    lines = (out / "table.tex").read_text().splitlines()
    assert any(line.startswith("perfect & \\textbf{100.00} &") for line in lines)
    page = (out / "report.html").read_text()
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert page.count("data:image/webp") > 20
    assert "IPS compares with the reference" in page
    assert {table.name for table in found.groups} >= {"strength"}
    with pytest.raises(UserError, match="and no evaluation: choose a new or empty folder"):
        place.judge("perfect", out=place.folder)


def test_a_second_evaluation_with_one_more_method_computes_nothing_again(
    place: Place, found: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> int:
        with sqlite3.connect(place.folder / "cache" / "figures.sqlite") as file:
            return int(file.execute("SELECT count(*) FROM figures").fetchone()[0])

    before = rows()

    def never(*_words: object) -> None:
        raise AssertionError("it was computed again")

    monkeypatch.setattr(Toy, "restore", never)
    monkeypatch.setattr(Lpips, "distances", never)
    again = place.judge("perfect", "toy", "noisy")
    assert rows() == before
    for method in ("perfect", "toy", "noisy", "degraded"):
        assert figure(again, method, "psnr") == figure(found, method, "psnr")
        assert figure(again, method, "iprecision") == figure(found, method, "iprecision")


def test_outputs_of_a_run_do_not_depend_on_their_batch(place: Place, found: Evaluation) -> None:
    settings = (*ONLY_PIXELS, "batch_size=3")
    again = place.judge("toy", settings=settings, cache=place.folder / "other cache")
    assert figure(again, "toy", "psnr") == pytest.approx(figure(found, "toy", "psnr"), abs=0.01)


def test_smaller_faces_only_if_asked_for(place: Place) -> None:
    with pytest.raises(
        UserError, match=r"restores faces of 32 px, and those of the set .* 64 px: add --size 32"
    ):
        place.judge("small")
    found = place.judge("small", "perfect", size_px=32, settings=ONLY_PIXELS)
    assert found.size_px == 32
    assert figure(found, "perfect", "psnr") == 100
    assert any("reduced to 32 px" in note for note in found.notes)
    with pytest.raises(UserError, match="64 px, or a whole part of it, not 48"):
        place.judge("perfect", size_px=48)


def test_names_of_exported_files(place: Place) -> None:
    exported = place.folder / "exported"
    exported.mkdir()
    lines = ["key,file"]
    for number, key in enumerate(place.keys):
        Image.fromarray(place.truth(key)).save(exported / f"{number:05d}_restored.png")
        lines.append(f"{key},gt/{number:05d}.png")
    names = place.folder / "names.csv"
    names.write_text("\n".join(lines))
    assert figure(place.judge("exported", names=names, settings=ONLY_PIXELS), "exported", "psnr") == 100
    with pytest.raises(UserError, match=r"no file in .* named after a sample.*--names"):
        place.judge("exported")


def test_outputs_in_the_folders_of_an_export_are_found_by_its_list(place: Place) -> None:
    """As in the export of a set with several recipes, whose degraded faces have one name in two folders."""
    lines, outputs = ["file,sample,kind"], place.folder / "of_export"
    for number, key in enumerate(place.keys):
        part = f"lq_{('mild', 'severe')[number % 2]}"
        (outputs / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(place.truth(key)).save(outputs / part / f"{number // 2:03d}_00.png")
        lines += [f"gt/{number // 2:03d}.png,{key},gt", f"{part}/{number // 2:03d}.png,{key},lq"]
    names = place.folder / "files.csv"
    names.write_text("\n".join(lines))
    found = place.judge("of_export", names=names, settings=ONLY_PIXELS)
    assert figure(found, "of_export", "psnr") == 100
    assert not any("without a file" in note for note in found.notes)
    names.write_text(f"file,sample,kind\n../other/000.png,{place.keys[0]},lq")
    with pytest.raises(UserError, match="has no file for the sample"):
        place.judge("of_export", names=names)


def mistakes(place: Place) -> dict[str, Path]:
    made = {name: place.folder / name for name in ("large", "twice", "broken", "empty", "strangers")}
    for path in made.values():
        path.mkdir(exist_ok=True)
    key, image = place.keys[0], Image.new("RGB", (80, 80))
    image.save(made["large"] / f"{key}.png")
    for ending in (".png", "_1.png"):
        image.save(made["twice"] / f"{key}{ending}")
    (made["broken"] / f"{key}.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    image.save(made["strangers"] / f"{key}x.png")
    return made


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("large", "80x80 px, where 64x64 px is wanted: sizes are never changed silently"),
        ("twice", "are both named after the sample"),
        ("broken", "cannot read"),
        ("empty", "there are no pictures in"),
        ("strangers", "no file in .* is named after a sample"),
        ("nowhere", "there is no folder"),
    ],
)
def test_a_folder_that_does_not_fit_is_one_sentence(place: Place, folder: str, sentence: str) -> None:
    mistakes(place)
    with pytest.raises(UserError, match=sentence):
        place.judge(folder, settings=ONLY_PIXELS)


def test_options_that_do_not_fit_are_one_sentence(place: Place) -> None:
    for words, sentence in (
        ({"split": "test2"}, "no samples of split 'test2'"),
        ({"data": str(place.folder / "perfect")}, "cannot be used"),
        ({"settings": ("weights.identity=nothing.onnx",)}, "weights.identity"),
        (
            {"settings": ("weights.alexnet=nothing.pth",)},
            "weights.alexnet: there are no weights at 'nothing.pth'",
        ),
        ({"settings": ("neighbors=3",)}, "did you mean `neighbours`"),
        ({"references": place.folder / "perfect"}, "--references is for pictures without --data"),
    ):
        with pytest.raises(UserError, match=sentence):
            place.judge("perfect", **words)
    with pytest.raises(UserError, match="two methods"):
        evaluate_command(EvaluateOptions(("a=/tmp", "a=/usr"), data=str(place.data)), Console(quiet=True))


def test_pictures_without_ground_truth(place: Place) -> None:
    one, references = place.folder / "one", place.folder / "references"
    one.mkdir()
    references.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        face = Image.fromarray(rng.integers(0, 256, (220, 220, 3), np.uint8))
        face.save(one / f"{number}.png")
        if number:
            face.save(references / f"{number}.png")
    settings = ("weights.inception=random",)
    found = place.judge(
        "one",
        data=None,
        references=references,
        reference_set=str(one),
        settings=settings,
        out=place.folder / "bare",
    )
    assert [metric.name for metric in found.metrics] == ["fid", "niqe", "ips"]
    assert figure(found, "one", "fid") == pytest.approx(0, abs=1e-3)
    assert figure(found, "one", "ips") == pytest.approx(1, abs=1e-4)
    assert found.methods[0].figures["ips"].samples == 2
    assert found.not_computed["psnr"] == "it needs ground truths: add --data"
    assert any("IPS is not computed of 1 picture" in note for note in found.notes)
    assert (place.folder / "bare" / "report.html").is_file()


def test_from_python(place: Place) -> None:
    settings = dict(one.split("=") for one in ONLY_PIXELS) | {"resamples": 100}
    found = facerefs.evaluate(
        {"theirs": place.folder / "perfect"},
        place.data,
        split="train",
        samples=5,
        settings=settings,
        cache=place.folder / "cache",
        device="cpu",
        quiet=True,
    )
    assert found.samples == 5
    assert found.methods[-1].name == "theirs"


def test_a_corrupt_sample_is_left_out_and_counted(tmp_path: Path, place: Place) -> None:
    data = make_set(tmp_path / "set", people=8, photos=2)
    tar = sorted(data.glob("train-*.tar"))[0]
    content = bytearray(tar.read_bytes())
    at = content.index(b"IDAT") if b"IDAT" in content else content.index(b"\xff\xda")
    content[at + 4 : at + 60] = bytes(56)
    tar.write_bytes(content)
    found = place.judge(data=str(data), settings=ONLY_PIXELS)
    assert len(found.left_out) == 1
    assert found.samples == len(place.keys) - 1
