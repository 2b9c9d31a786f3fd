"""The table of ablations, of logs that were made up; and its trainings, of a toy."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import ablations
from benchmarks.ablations import (
    AS_IT_IS,
    SCHEDULES,
    WITHOUT,
    Result,
    Training,
    comparisons,
    lasting,
    markdown,
    result_of,
    table_of,
    train_one,
    variants,
    write,
)
from facerefs.pipeline.errors import UserError
from facerefs.trainers.models.catalogue import MODULES, presets
from tests.trainers.loop.toy import PRESETS, write_faces


def result(variant: str, psnr: float, **words: object) -> Result:
    first = {"psnr": psnr - 4, "ssim": 0.5, "psnr_degraded": 23.0, "ssim_degraded": 0.6}
    made = Result("rdfr", variant, 5, first, 20, first | {"psnr": psnr, "ssim": 0.7}, 0.25, 1_500_000)
    return replace(made, **words)


WITH, ALONE = result(AS_IT_IS, 26.0), result(WITHOUT["rdfr"][0], 25.0)


def test_the_table_holds_the_degraded_input_and_both_ends_of_both_variants() -> None:
    head, rows = table_of([WITH, ALONE])
    assert head == ["model", "variant", "step", "psnr, dB", "ssim", "s/step", "weights"]
    assert rows == [
        ["rdfr", "degraded input", "", "23.00", "0.600", "", ""],
        ["rdfr", "as it is", "5", "22.00", "0.500", "", ""],
        ["rdfr", "as it is", "20", "26.00", "0.700", "0.250", "1.50 M"],
        ["rdfr", "shape.quantise=false", "5", "21.00", "0.500", "", ""],
        ["rdfr", "shape.quantise=false", "20", "25.00", "0.700", "0.250", "1.50 M"],
    ]
    lines = markdown(head, rows).splitlines()
    assert lines[1] == "| --- | --- | --- | --- | --- | --- | --- |"
    assert lines[4] == "| rdfr | as it is | 20 | 26.00 | 0.700 | 0.250 | 1.50 M |"


def test_a_figure_that_only_some_models_have_leaves_the_others_blank() -> None:
    other = replace(WITH, name="ented", last=WITH.last | {"identity_truth": 0.91})
    head, rows = table_of([WITH, other])
    assert head[5] == "identity_truth, cosine"
    assert [row[5] for row in rows if row[2] == "20"] == ["", "0.910"]


def test_a_comparison_wants_both_variants() -> None:
    lines = list(comparisons([WITH, ALONE, replace(WITH, name="ented")]))
    assert [line["case"] for line in lines] == [
        "rdfr, psnr, 20 steps, against shape.quantise=false",
        "rdfr, ssim, 20 steps, against shape.quantise=false",
    ]
    assert (lines[0]["ours"], lines[0]["peer"], lines[0]["unit"], lines[0]["ratio"]) == (
        26,
        25,
        "dB",
        26 / 25,
    )


def test_a_log_is_read_to_its_first_and_last_validation(tmp_path: Path) -> None:
    log = [
        {"step": 0, "notes": []},
        {"step": 2, "steps": 2, "images_per_s": 4.0},
        {"step": 2, "validation/psnr": 20.0, "validation/identity_truth": None},
        {"step": 3, "steps": 1, "images_per_s": 1.0},
        {"step": 4, "validation/psnr": 24.0},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    model = presets("refine")["tiny"]  # of batches of 4
    found = result_of(Training("refine", AS_IT_IS, model, tmp_path))
    assert (found.first_step, found.first, found.last_step, found.last) == (2, {"psnr": 20}, 4, {"psnr": 24})
    assert found.step_s == pytest.approx((2 * 1 + 4) / 3)
    assert found.weights == sum(p.numel() for net in model.networks().values() for p in net.parameters())


def test_a_restorer_without_an_ablation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ablations.without_ablation() == []
    monkeypatch.setitem(MODULES, "toy", "tests.pipeline.restoring.toy_restorer")
    assert ablations.without_ablation() == ["toy"]


@pytest.mark.parametrize("name", WITHOUT)
def test_each_idea_can_be_left_out_and_schedules_stay_whole(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_faces(tmp_path / "set")
    tiny = presets(name)["tiny"]
    whole, *without = variants(name, 123, tmp_path, tmp_path / "set", all_arms=True)
    assert [one.variant for one in without] == list(WITHOUT[name])
    assert len({one.run for one in without}) == len(without)
    for one in without:
        assert whole.model != one.model
        assert whole.model.loop == one.model.loop
        if name == "rpf":  # the schedule of all blocks is as long as the loop
            assert one.model.training_stages[-1].end_step == one.model.loop.steps
    steps = whole.model.loop.steps
    assert 123 <= steps < 200
    for key in SCHEDULES.get(name, ()):
        own, scaled = (ablations._setting(model, key) for model in (tiny, whole.model))
        assert scaled * tiny.loop.steps == own * steps
    assert lasting(name, tiny, None)[0] == f"loop.steps={tiny.loop.steps}"


def test_toys_are_trained_once_and_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MODULES, "toy", "tests.trainers.loop.toy")
    monkeypatch.setattr(ablations, "OUT", tmp_path / "figures")
    monkeypatch.setitem(WITHOUT, "toy", ("batch_norm=false",))
    place = write_faces(tmp_path / "set")
    trainings = list(variants("toy", 4, tmp_path / "out", place))
    assert [training.model.batch_norm for training in trainings] == [True, False]
    for training in trainings:
        assert not training.is_done()
        train_one(training, str(place), 1)
        assert training.is_done()
    assert "toy-without: validation  step 4" in capsys.readouterr().out
    (trainings[0].run / "checkpoints" / "step-00000004.pt").unlink()  # as if it had been interrupted
    assert not trainings[0].is_done()
    train_one(trainings[0], str(place), 1)
    assert trainings[0].is_done()
    said = capsys.readouterr().out
    assert "toy: validation  step 4" in said
    assert "step 1:" not in said
    with pytest.raises(UserError, match="a training with other settings: remove it, or choose another --out"):
        replace(trainings[0], model=replace(PRESETS["tiny"], lr=0.5)).is_done()
    write([WITH, ALONE], [replace(training, name="rdfr") for training in trainings], tmp_path / "out")
    assert (tmp_path / "out" / "table.md").read_text().startswith("| model | variant |")
    one, other = (Image.open(sorted((t.run / "grids").iterdir())[-1]) for t in trainings)
    sheet = Image.open(tmp_path / "out" / "rdfr.png")
    assert sheet.width == one.width
    assert sheet.height == one.height + other.height + 2 * ablations._TITLE_PX
    assert json.loads((tmp_path / "figures" / "ablations.json").read_text())
