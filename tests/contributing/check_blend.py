"""The test that a contributor writes for the model blend: it is listed, trained, validated, and restores a face."""

import json
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from facerefs.pipeline.commands.models import print_models
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.options import RestoreOptions
from facerefs.pipeline.restoring.restore import restore_command
from facerefs.pipeline.training.job import TrainOptions
from facerefs.pipeline.training.train import train_command
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import render
from facerefs.stages.synthetic_people.view import draw_view
from tests.trainers.loop.toy import write_faces


def test_blend_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    print_models("paper")
    said = " ".join(capsys.readouterr().out.split())
    assert "blend with 1 reference 512 px gfpgan 4 1,000" in said
    assert "Blend: nobody" in said
    with pytest.raises(UserError, match=r"no model 'blnd': choose .*\bblend\b"):
        train_command(TrainOptions("blnd", Path("run"), ("nowhere",)), Console())


def test_blend_learns_is_validated_and_restores_a_face(tmp_path: Path) -> None:
    photos = [tmp_path / f"{number}.png" for number in range(2)]
    for number, photo in enumerate(photos):
        Image.fromarray(render(draw_person(5, 0), draw_view(5, 0, number), 400).image).save(photo)
    often = ("loop.log_every=1", "loop.validate_every=2", "loop.validation_samples=2", "data.workers=0")
    place, run = write_faces(tmp_path / "set" / "samples"), tmp_path / "run"
    options = TrainOptions("blend", run, (str(place),), preset="tiny", steps=2, settings=often, device="cpu")
    train_command(options, Console())
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "blender/pixels" in line] == [1, 2]
    (validation,) = (line for line in log if "validation/psnr" in line)
    assert validation["step"] == 2
    face = tmp_path / "face.png"
    restore_command(
        RestoreOptions(run, (photos[0],), face, (photos[1],), device="cpu", crops=True, pictures=True),
        Console(),
    )
    assert Image.open(face).size == (400, 400)
    assert Image.open(tmp_path / "face-face1.png").size == (32, 32)
    assert (tmp_path / "face-pictures.png").exists()
