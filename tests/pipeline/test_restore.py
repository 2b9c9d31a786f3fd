"""`facerefs restore`: a run and photos of a person in, faces out; mistakes end in one sentence."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import UserError
from pipeline.restore import restore_command
from stages.rendered.person import draw_person
from stages.rendered.render import render
from stages.rendered.view import draw_view
from trainers.loop.checkpoint import Checkpoint, write
from trainers.loop.plain import plain
from trainers.models.catalogue import presets


def made_run(folder: Path, name: str) -> Path:
    """A run whose networks are as they were drawn."""
    model = presets(name)["tiny"]
    torch.manual_seed(0)
    networks = {key: network.state_dict() for key, network in model.networks().items()}
    kept = Checkpoint(name, plain(model), "dlib-resnet-128", 1, networks, {}, {}, {}, ())
    write(folder / "checkpoints", kept, keep=1)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("restore")
    person = draw_person(5, 0)
    for number in range(2):
        Image.fromarray(render(person, draw_view(5, 0, number), 400).image).save(folder / f"{number}.png")
    made_run(folder / "refine", "refine")
    made_run(folder / "landmarks", "landmarks")
    Image.new("RGB", (200, 200), "gray").save(folder / "nobody.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    return folder


def restored(place: Path, source: str, out: str, reference: str = "1.png", **words: object) -> Path:
    settings = {"landmarks": None, "aligned": False, "engines": "embedded", "device": "cpu"} | words
    restore_command(place / "refine", place / source, [place / reference], place / out, **settings)
    return place / out


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_photo_gives_a_face_of_the_networks_size_the_same_each_time(place: Path) -> None:
    one = restored(place, "0.png", "one.png")
    assert pixels(one).shape == (64, 64, 3)
    assert np.array_equal(pixels(one), pixels(restored(place, "0.png", "again.png")))
    other = restored(place, "0.png", "other.png", reference="0.png")
    assert not np.array_equal(pixels(one), pixels(other))


def test_a_folder_gives_a_folder(place: Path) -> None:
    (place / "several").mkdir()
    for number in range(2):
        Image.open(place / f"{number}.png").save(place / "several" / f"{number}.jpg")
    out = restored(place, "several", "restored")
    assert sorted(path.name for path in out.iterdir()) == ["0.png", "1.png"]


def test_an_aligned_face_is_taken_as_it_is_and_its_points_come_from_a_trained_network(place: Path) -> None:
    face = pixels(restored(place, "0.png", "face.png"))
    Image.fromarray(face).resize((128, 128)).save(place / "aligned.png")
    by_engine = restored(place, "aligned.png", "by_engine.png", aligned=True)
    by_network = restored(place, "aligned.png", "by_network.png", aligned=True, landmarks=place / "landmarks")
    assert pixels(by_engine).shape == pixels(by_network).shape == (64, 64, 3)
    assert not np.array_equal(pixels(by_engine), pixels(by_network))


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


def test_a_run_of_another_kind_restores_nothing(place: Path) -> None:
    with pytest.raises(UserError, match="a run of landmarks restores no faces"):
        restore_command(
            place / "landmarks",
            place / "0.png",
            [place / "1.png"],
            place / "x.png",
            None,
            False,
            "embedded",
            "cpu",
        )
    with pytest.raises(UserError, match="the model wants 1 references of the person, and has 0"):
        restore_command(
            place / "refine", place / "0.png", [], place / "x.png", None, False, "embedded", "cpu"
        )
