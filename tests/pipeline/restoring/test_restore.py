"""`facerefs restore`: a run and photos of a person in, faces out; mistakes end in one sentence."""

import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import facerefs
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.options import RestoreOptions
from facerefs.pipeline.restoring.restore import restore_command
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import render
from facerefs.stages.synthetic_people.view import draw_view
from facerefs.trainers.loop.checkpoint import Checkpoint, write
from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.models.catalogue import MODULES, presets
from facerefs.trainers.models.model import Model


def made_run(folder: Path, name: str, preset: str = "tiny", model: Model | None = None) -> Path:
    """A run whose networks are as they were drawn."""
    model = model or presets(name)[preset]
    torch.manual_seed(0)
    networks = {key: network.state_dict() for key, network in model.networks().items()}
    kept = Checkpoint(name, to_dict(model), "dlib-resnet-128", 1, networks, {}, {}, {}, ())
    write(folder / "checkpoints", kept, keep=1)
    return folder


@pytest.fixture(autouse=True, scope="module")
def _toy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(MODULES, "toy", "tests.pipeline.restoring.toy_restorer")
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("restore")
    person = draw_person(5, 0)
    for number in range(2):
        Image.fromarray(render(person, draw_view(5, 0, number), 400).image).save(folder / f"{number}.png")
    made_run(folder / "refine", "refine")
    made_run(folder / "landmarks", "landmarks")
    made_run(folder / "blind", "toy")
    made_run(folder / "steady", "toy", "steady")
    Image.new("RGB", (200, 200), "gray").save(folder / "nobody.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    return folder


def restored(place: Path, source: str, out: str, reference: str = "1.png", **words: object) -> Path:
    made = {
        "run": place / "refine",
        "references": (place / reference,),
        "device": "cpu",
        "overwrite": True,
    } | words
    restore_command(
        RestoreOptions(sources=(place / source,), out=place / out, **made),
        Console(soft_wrap=True, markup=False),
    )
    return place / out


def blind(place: Path, out: str, run: str = "blind", source: str = "0.png", **words: object) -> Path:
    return restored(place, source, out, **{"run": place / run, "references": ()} | words)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """But for rounding."""
    return np.abs(one.astype(int) - other).max() <= 1


def test_a_photo_gives_a_photo_of_its_size_the_same_each_time(place: Path) -> None:
    one = restored(place, "0.png", "one.png", crops=True)
    assert pixels(one).shape == (400, 400, 3)
    assert pixels(place / "one-face1.png").shape == (64, 64, 3)
    assert np.array_equal(pixels(one), pixels(restored(place, "0.png", "again.png")))
    other = restored(place, "0.png", "other.png", reference="0.png")
    assert not np.array_equal(pixels(one), pixels(other))


def test_a_folder_gives_a_folder(place: Path) -> None:
    (place / "several").mkdir()
    for number in range(2):
        Image.open(place / f"{number}.png").save(place / "several" / f"{number}.jpg")
    out = restored(place, "several", "restored")
    assert sorted(path.name for path in out.iterdir()) == ["0.png", "1.png", "restored.jsonl"]


def test_a_photo_of_a_folder_that_shows_no_face_does_not_hold_up_the_others(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place / "mixed"
    folder.mkdir()
    for name, photo in (("a.png", "nobody.png"), ("b.png", "broken.png"), ("c.png", "0.png")):
        (folder / name).write_bytes((place / photo).read_bytes())
    with pytest.raises(UserError, match=r"^2 of 3 photos could not be restored$"):
        blind(place, "those.some", source="mixed")
    assert sorted(path.name for path in (place / "those.some").iterdir()) == ["c.png", "restored.jsonl"]
    out = capsys.readouterr().out
    assert "left out    dlib-hog finds no face in " in out
    assert "left out    cannot read " in out


def test_an_aligned_face_is_taken_as_it_is_and_its_points_come_from_a_trained_network(place: Path) -> None:
    restored(place, "0.png", "face.png", crops=True)
    face = pixels(place / "face-face1.png")
    Image.fromarray(face).resize((128, 128)).save(place / "aligned.png")
    by_engine = restored(place, "aligned.png", "by_engine.png", aligned=True)
    by_network = restored(place, "aligned.png", "by_network.png", aligned=True, landmarks=place / "landmarks")
    assert pixels(by_engine).shape == pixels(by_network).shape == (64, 64, 3)
    assert not np.array_equal(pixels(by_engine), pixels(by_network))


def test_the_detector_of_the_training_finds_the_landmarks_unless_it_is_gone(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = presets("refine")["tiny"]
    made: dict[str, bytes] = {}
    for name in ("landmarks", "moved away"):
        model = replace(tiny, weights=replace(tiny.weights, landmarks=str(place / name)))
        made_run(place / f"by {name}", "refine", model=model)
        made[name] = restored(place, "0.png", f"by {name}.png", run=place / f"by {name}").read_bytes()
    told = capsys.readouterr().out
    assert f"note        landmarks of degraded faces: detector, the run {place / 'landmarks'}" in told
    assert "landmarks of degraded faces: the engine dlib" in told
    assert f"{place / 'moved away'}, is not there: add --landmarks with its folder" in told
    assert made["landmarks"] == restored(place, "0.png", "l.png", landmarks=place / "landmarks").read_bytes()
    assert made["moved away"] == restored(place, "0.png", "e.png").read_bytes() != made["landmarks"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"source": "nobody.png"}, "finds no face in .*nobody.png; if it is an aligned face, add --aligned"),
        ({"source": "broken.png"}, "cannot read .*broken.png"),
        ({"source": "missing.png"}, "missing.png is neither a photo nor a folder that holds some"),
        ({"source": "0.png", "reference": "nobody.png"}, "finds no face in .*nobody.png"),
        ({"source": "0.png", "landmarks": "refine"}, "--landmarks wants a run of facerefs train landmarks"),
        ({"source": "0.png", "landmarks": "several"}, "several holds no trained model"),
        (
            {"source": "0.png", "engines": "eyes"},
            "--engines cannot be 'eyes': choose embedded or insightface",
        ),
        ({"source": "0.png", "device": "tpu"}, "--device cannot be 'tpu': choose cpu or cuda"),
    ],
)
def test_a_mistake_is_one_sentence(place: Path, words: dict[str, str], sentence: str) -> None:
    landmarks = {"landmarks": place / words["landmarks"]} if "landmarks" in words else {}
    with pytest.raises(UserError, match=sentence) as caught:
        restored(place, **{"out": "x.png"} | words | landmarks)
    assert "\n" not in str(caught.value)
    assert not (place / "x.png").exists()


def test_weights_that_a_model_misses_only_as_it_restores_are_one_sentence(place: Path) -> None:
    model = presets("rpf")["tiny"]
    model = replace(model, weights=replace(model.weights, parsing=str(place / "no_parser.pth")))
    made_run(place / "parsing", "rpf", model=model)
    with pytest.raises(UserError, match=r"there are no weights at .*no_parser\.pth") as caught:
        restored(place, "0.png", "x.png", run=place / "parsing")
    assert "\n" not in str(caught.value)
    assert not (place / "x.png").exists()


def test_a_run_of_another_kind_restores_nothing(place: Path) -> None:
    with pytest.raises(
        UserError, match="a run of landmarks restores no faces: `facerefs models` lists those that do"
    ):
        restored(place, "0.png", "x.png", run=place / "landmarks")
    with pytest.raises(
        UserError, match="refine wants a good photo of the person, and has 0: add --reference"
    ):
        restored(place, "0.png", "x.png", references=())
    assert not (place / "x.png").exists()


def test_a_blind_model_takes_no_reference_and_says_so_if_one_is_given(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = blind(place, "alone.png")
    assert "note" not in capsys.readouterr().out
    given = blind(place, "given.png", references=(place / "1.png",))
    assert "note        toy restores without a reference: --reference is not used" in capsys.readouterr().out
    assert alone.read_bytes() == given.read_bytes()
    blind(place, "found.png", landmarks=place / "landmarks")
    assert "note        toy restores without a reference: --landmarks is not used" in capsys.readouterr().out
    restored(place, "0.png", "two.png", references=(place / "nobody.png", place / "1.png"))
    said = capsys.readouterr().out
    assert "note        a reference of the person is left out: dlib-hog finds no face in" in said
    assert "face 1 is the person, similarity 0.9" in said
    assert f"with {place / '1.png'}" in said


def test_several_outputs_differ_from_each_other_but_not_from_one_time_to_the_next(place: Path) -> None:
    blind(place, "some/face.png", outputs=3)
    names = ["face-1.png", "face-2.png", "face-3.png"]
    made = {path.name: path.read_bytes() for path in (place / "some").glob("*.png")}
    assert sorted(made) == names
    assert len(set(made.values())) == 3
    blind(place, "more", outputs=2)  # a folder: the names are the photo's
    again = [(place / "more" / name).read_bytes() for name in ("0-1.png", "0-2.png")]
    assert again == [made[name] for name in names[:2]]
    assert blind(place, "alone.png").read_bytes() == made["face-1.png"]
    blind(place, "other", outputs=2, seed=1)
    assert not {path.read_bytes() for path in (place / "other").glob("*.png")} & set(made.values())


def test_a_deterministic_model_makes_one_output(place: Path) -> None:
    for run in ("steady", "refine"):
        with pytest.raises(UserError, match="always gives the same face: leave out --outputs"):
            restored(place, "0.png", "x.png", run=place / run, outputs=2)
    one, other = (blind(place, f"seed{seed}.png", run="steady", seed=seed).read_bytes() for seed in (0, 1))
    assert one == other
    assert not (place / "x.png").exists()


def test_pictures_show_what_goes_in_what_the_model_did_and_what_comes_out(place: Path) -> None:
    out = blind(place, "shown/face.png", outputs=2, pictures=True, crops=True)
    sheet = pixels(out.with_name("face-pictures.png"))
    cell = 3 * 32 + 2  # the grid enlarges small pictures
    assert sheet.shape[1] == 4 * cell  # degraded, work, output 1, output 2
    for number in (1, 2):
        shown = sheet[-cell:-2:3, (1 + number) * cell : (2 + number) * cell - 2 : 3]
        assert alike(shown, pixels(out.with_name(f"face-face1-{number}.png")))
    out = restored(place, "0.png", "refined.png", pictures=True, crops=True)
    sheet = pixels(out.with_name("refined-pictures.png"))
    cell = 2 * 64 + 2
    assert sheet.shape[1] == 4 * cell  # degraded, reference, warped, output
    assert alike(sheet[-cell:-2:2, -cell:-2:2], pixels(out.with_name("refined-face1.png")))


def test_no_photo_is_written_over_and_no_face_written_twice(place: Path) -> None:
    folder = place / "alike"
    folder.mkdir()
    for name in ("a.png", "a.jpg"):
        Image.open(place / "0.png").save(folder / name)
    out = restored(place, "alike", "faces")
    assert sorted(path.name for path in out.glob("*.png")) == ["a.jpg.png", "a.png.png"]
    (folder / "a.jpg").unlink()
    for source, out in (("alike", "alike"), ("0.png", "1.png"), ("0.png", "0.png")):
        with pytest.raises(UserError, match="is one of the photos, and would be overwritten"):
            restored(place, source, out)
    (place / "taxes").write_text("mine")
    with pytest.raises(UserError, match="taxes is a file of another kind"):
        restored(place, "0.png", "taxes")
    (place / "folder.png").mkdir()
    restored(place, "0.png", "folder.png")
    assert [path.name for path in (place / "folder.png").glob("*.png")] == ["0.png"]


def group_photo(place: Path, path: Path) -> Path:
    """The person of the references, and a larger face of another one beside it."""
    other = Image.fromarray(render(draw_person(5, 1), draw_view(5, 1, 0), 500).image)
    photo = Image.new("RGB", (900, 500))
    photo.paste(other, (0, 0))
    photo.paste(Image.open(place / "0.png"), (500, 0))
    photo.save(path)
    return path


def test_of_a_group_the_face_of_the_reference_is_restored_and_the_last_line_counts(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = group_photo(place, place / "group.png")
    out = restored(place, "group.png", "of_group.png", crops=True)
    said = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("left        ") and "face 1: it looks like the person" in line for line in said
    )
    assert said[-1] == (
        "1 photo, 1 face restored, 1 left as they were (1 second face like a person), 1 with warnings"
    )
    assert not out.with_name("of_group-face1.png").exists()
    assert np.array_equal(pixels(out)[:, :500], pixels(photo)[:, :500])
    restored(place, "0.png", "of_one.png", crops=True)
    one, alone = (pixels(out.with_name(f"{name}.png")) for name in ("of_group-face2", "of_one-face1"))
    assert np.abs(one.astype(int) - alone).mean() < 2


def test_faces_are_chosen_by_number_and_a_blind_model_restores_those_without_a_reference(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = pixels(group_photo(place, place / "group.png"))
    largest = pixels(blind(place, "largest.png", source="group.png", run="steady", faces="largest"))
    second = pixels(blind(place, "second.png", source="group.png", run="steady", faces="2"))
    every = pixels(blind(place, "every.png", source="group.png", run="steady"))
    assert np.array_equal(largest[:, 500:], photo[:, 500:])
    assert np.array_equal(second[:, :500], photo[:, :500])
    assert np.array_equal(every, np.hstack([largest[:, :500], second[:, 500:]]))
    assert "1 left as they were (1 not asked for)" in capsys.readouterr().out
    both = restored(place, "group.png", "both.png", blind=place / "steady")
    assert np.array_equal(pixels(both)[:, :500], largest[:, :500])
    assert not np.array_equal(pixels(both)[:, 500:], photo[:, 500:])
    assert "face 1: restored by the blind toy: it looks like the person" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"shows 2 faces: there is no --faces 3"):
        restored(place, "group.png", "x.png", faces="3")
    for wrong in ("0", "none", "-1"):
        with pytest.raises(UserError, match="--faces cannot be"):
            restored(place, "group.png", "x.png", faces=wrong)
    with pytest.raises(UserError, match="--blind wants a run of a model without references"):
        restored(place, "group.png", "x.png", blind=place / "refine")


def test_each_face_gets_a_reference_of_its_person(place: Path) -> None:
    group_photo(place, place / "group.png")
    people = place / "people"
    for name, number in (("ann", 0), ("bob", 1)):
        (people / name).mkdir(parents=True)
        for view in (1, 2):
            face = render(draw_person(5, number), draw_view(5, number, view), 400).image
            Image.fromarray(face).save(people / name / f"{view}.png")
    result = facerefs.restore(
        place / "refine", place / "group.png", place / "named" / "a.png", references=people, device="cpu"
    )
    one, two = result.photos[0].faces
    assert [one.person, two.person] == ["bob", "ann"]
    assert "bob" in str(one.reference)
    assert "ann" in str(two.reference)
    lines = [json.loads(line) for line in (place / "named" / "restored.jsonl").read_text().splitlines()]
    assert [(line["face"], line["person"], line["left"]) for line in lines] == [
        (1, "bob", None),
        (2, "ann", None),
    ]
    assert lines[0]["box"][2] < 500 < lines[1]["box"][2]
    with pytest.raises(UserError, match="--person eve is none of the people of the references: ann, bob"):
        restored(place, "group.png", "x.png", references=(people,), person="eve")


def test_python_gets_faces_and_warnings_as_data(place: Path) -> None:
    group_photo(place, place / "group.png")
    words = {"references": [place / "1.png"], "device": "cpu", "quiet": True}
    result = facerefs.restore(place / "refine", place / "group.png", place / "api.png", **words)
    assert result == (place / "api.png",)
    (photo,) = result.photos
    assert (photo.photo, photo.files) == (place / "group.png", (place / "api.png",))
    assert [face.left_kind for face in photo.faces] == ["second face like a person", None]
    assert photo.faces[1].similarity > 0.9
    assert pickle.loads(pickle.dumps(result)).photos == result.photos
    with pytest.raises(UserError, match=r"api\.png is there already: add --overwrite"):
        facerefs.restore(place / "refine", place / "group.png", place / "api.png", **words)

    mixed = place / "api_mixed"
    mixed.mkdir()
    (mixed / "a.png").write_bytes((place / "broken.png").read_bytes())
    (mixed / "b.png").write_bytes((place / "0.png").read_bytes())
    (mixed / "notes.txt").write_text("no photo")
    with pytest.raises(facerefs.RestoreError, match="1 of 2 photos could not be restored") as caught:
        facerefs.restore(place / "refine", mixed, place / "api_out", **words)
    assert caught.value.result == (place / "api_out" / "b.png",)
    assert "cannot read" in caught.value.result.left_out[mixed / "a.png"]
    assert caught.value.result.skipped == (mixed / "notes.txt",)
    (mixed / "a.png").unlink()
    again = facerefs.restore(place / "refine", mixed, place / "api_out", **words, resume=True)
    assert (again, again.done) == ((), (mixed / "b.png",))


def test_what_is_lost_of_a_photo_is_said(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = Image.open(place / "0.png").convert("RGBA")
    photo.paste((0, 0, 0, 0), (0, 0, 150, 400))
    photo.save(place / "cut_out.png")
    kept = Image.open(blind(place, "kept.webp", source="cut_out.png"))
    assert kept.mode == "RGBA"
    assert "transparency" not in capsys.readouterr().out
    assert Image.open(blind(place, "lost.jpg", source="cut_out.png")).mode == "RGB"
    assert "its transparency is lost, since JPEG holds none" in capsys.readouterr().out
    grey = np.asarray(Image.open(place / "0.png").convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(place / "deep.png")
    blind(place, "shallow.png", source="deep.png")
    assert "its 16 bits per channel are kept outside of faces, which have 8" in capsys.readouterr().out
