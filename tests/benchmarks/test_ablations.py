"""Arms of ablations start alike and are compared seed by seed; trainings of a toy, and tables of made-up results."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from scipy.stats import ttest_rel
from torch import nn

from benchmarks.ablations import __main__ as command
from benchmarks.ablations import trainings as plans
from benchmarks.ablations.arms import AS_IT_IS, OURS, SCHEDULES, WITH, WITHOUT, Arm, arms_of
from benchmarks.ablations.codes import Codebook, codebooks_of, distances
from benchmarks.ablations.pictures import TITLE_PX
from benchmarks.ablations.run import Result, finished, train_one
from benchmarks.ablations.seeds import NOT_TESTABLE, REFUTED, SHOWN, Interval, paired, verdict
from benchmarks.ablations.start import copy_shared, start_as
from benchmarks.ablations.tables import comparisons, markdown, means, verdicts
from benchmarks.ablations.trainings import folder_of, lasting, trainings, without_ablation
from facerefs.pipeline.errors import UserError
from facerefs.trainers.loop.seeds import seed_torch
from facerefs.trainers.models.catalogue import MODULES, presets
from facerefs.trainers.models.posevaried import PRESETS as POSEVARIED
from tests.trainers.loop.toy import PRESETS, write_faces

# --- The same start ---


def test_what_has_the_same_name_and_shape_is_copied_and_counted() -> None:
    first = {"generator": nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), "critic": nn.Linear(2, 2)}
    first["generator"][1].running_mean.fill_(7)  # a buffer
    other = {
        "generator": nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)),
        "judge": nn.Linear(2, 2),
    }
    other["generator"][0].bias = nn.Parameter(torch.zeros(5))
    own_bias = other["generator"][0].bias.clone()
    shared = copy_shared(first, other)
    assert torch.equal(other["generator"][0].weight, first["generator"][0].weight)
    assert torch.equal(other["generator"][0].bias, own_bias)
    assert torch.equal(other["generator"][1].running_mean, torch.full((3,), 7.0))
    assert (shared.copied, shared.fresh) == (6 + 3 + 3, 5 + 4 + 6)
    assert (
        str(shared) == "12 parameters copied, 15 fresh (generator.0, generator.2, judge.weight, judge.bias)"
    )


def test_an_arm_without_mmrb_starts_as_the_same_function() -> None:
    tiny = POSEVARIED["tiny"]
    shape = replace(tiny.shape, size_px=16, channels=8, style_dim=8, mapping_layers=2)
    whole = replace(tiny, shape=shape, loop=replace(tiny.loop, seed=4))
    without = replace(whole, shape=replace(shape, mmrb=False))
    seed_torch(4, "networks")
    drawn, bare = whole.networks(), without.networks()
    shared = start_as(bare, whole)
    assert shared.fresh == 0
    degraded = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(
        bare["generator"](degraded).image, drawn["generator"](degraded).image, rtol=0, atol=0
    )


# --- Intervals and verdicts ---


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    ours, peer = [25.1, 25.4, 24.9, 25.3], [25.0, 25.1, 25.0, 25.1]
    expected = ttest_rel(ours, peer).confidence_interval(0.95)
    interval = paired(ours, peer)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert interval.mean == pytest.approx(0.125)
    assert paired([2.0], [1.0]) == Interval(1.0, -math.inf, math.inf, 1)
    with pytest.raises(ValueError, match="no seed that both arms have finished"):
        paired([], [])


@pytest.mark.parametrize(
    ("low", "high", "seeds", "lower_is_better", "says"),
    [
        (0.01, 0.2, 10, False, SHOWN),
        (0.01, 0.2, 10, True, REFUTED),
        (-0.2, -0.01, 10, False, REFUTED),
        (-0.2, -0.01, 10, True, SHOWN),
        (-0.1, 0.2, 10, False, NOT_TESTABLE),
        (0.01, 0.2, 2, False, NOT_TESTABLE),
        (0.0, 0.0, 10, False, NOT_TESTABLE),
    ],
)
def test_the_verdict_follows_from_the_interval(
    low: float, high: float, seeds: int, lower_is_better: bool, says: str
) -> None:
    assert verdict(Interval((low + high) / 2, low, high, seeds), lower_is_better) == says


# --- Tables ---


def result(variant: str, seed: int, psnr: float, adds: bool = False, **figures: float) -> Result:
    degraded = {"psnr_degraded": 23.0}
    return Result("rdfr", variant, adds, seed, 20, {"psnr": psnr, **degraded, **figures}, 0.25)


WHOLE = [result(AS_IT_IS, seed, psnr, spread=0.1) for seed, psnr in enumerate((26.0, 26.2, 26.1))]
ALONE = [result("shape.quantise=false", seed, psnr) for seed, psnr in enumerate((25.0, 25.3, 25.0, 99.0))]
MORE = [result("shape.codes=1024", seed, psnr, adds=True) for seed, psnr in enumerate((25.0, 25.3))]


def test_the_tables_hold_means_over_seeds_and_differences_of_the_seeds_that_both_have() -> None:
    head, rows = means([*WHOLE, *ALONE])
    assert head == ["model", "arm", "seeds", "steps", "psnr", "spread", "s/step"]
    assert rows[0] == ["rdfr", "degraded input", "", "", "23.000 ± 0.000", "", ""]
    assert rows[1] == ["rdfr", AS_IT_IS, "3", "20", "26.100 ± 0.100", "0.100 ± 0.000", "0.250"]
    assert rows[2][2:4] == ["4", "20"]
    _, (row,) = verdicts([*WHOLE, *ALONE])
    assert row == [
        "rdfr",
        "shape.quantise=false",
        "3",
        "20",
        "psnr, dB",
        "+1.0000",
        "+0.7516 to +1.2484",
        SHOWN,
    ]
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_what_an_arm_adds_is_compared_the_other_way_round() -> None:
    (without,) = comparisons([*WHOLE, *ALONE])
    assert without["case"] == "rdfr, psnr, 20 steps, 3 seeds, against shape.quantise=false: shown"
    assert (without["ours"], without["peer"]) == pytest.approx((26.1, 25.1))
    assert without["low"] == pytest.approx(1 + 0.7516 / 25.1, abs=1e-5)
    assert set(without) == {"case", "ours", "peer", "unit", "ratio", "low", "high"}
    (added,) = comparisons([*WHOLE, *MORE])
    assert added["case"] == "rdfr, psnr, 20 steps, 2 seeds, with shape.codes=1024: not testable here"
    assert (added["ours"], added["peer"]) == pytest.approx((25.15, 26.1))


# --- Trainings ---


def test_a_restorer_without_an_ablation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_ablation() == []
    monkeypatch.setitem(MODULES, "toy", "tests.pipeline.restoring.toy_restorer")
    assert without_ablation() == ["toy"]


@pytest.mark.parametrize("name", WITHOUT)
def test_each_arm_is_possible_and_schedules_stay_whole(name: str, tmp_path: Path) -> None:
    tiny = presets(name)["tiny"]
    whole, *changed = trainings(name, arms_of(name, ["all"]), 3, tmp_path, 123)
    assert [one.variant for one in changed] == [*WITHOUT[name], *OURS.get(name, ()), *WITH.get(name, ())]
    assert [one.adds for one in changed] == [one.variant in WITH.get(name, ()) for one in changed]
    assert len({one.run for one in changed}) == len(changed)
    for one in changed:
        assert one.first == whole.model != one.model
        assert whole.model.loop == one.model.loop
        if name == "rpf":  # the schedule of all blocks is as long as the loop
            assert one.model.training_stages[-1].end_step == one.model.loop.steps
    steps = whole.model.loop.steps
    assert 123 <= steps < 200
    assert whole.seed == 3
    for key in SCHEDULES.get(name, ()):
        own, scaled = (plans._setting(model, key) for model in (tiny, whole.model))
        assert scaled * tiny.loop.steps == own * steps
    assert lasting(name, tiny, None)[0] == f"loop.steps={tiny.loop.steps}"


def test_toys_go_on_after_an_interruption_and_their_results_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MODULES, "toy", "tests.trainers.loop.toy")
    place, out = str(write_faces(tmp_path / "set")), tmp_path / "out"
    whole, without = trainings("toy", [Arm("batch_norm=false")], 1, out, 4)
    assert [training.model.batch_norm for training in (whole, without)] == [True, False]
    train_one(whole, place, 1, until_s=0.0)
    assert not whole.run.exists()  # the budget was spent before it began
    train_one(whole, place, 1)
    train_one(without, place, 1)
    said = capsys.readouterr().out
    assert "toy, as it is, seed 1: 488 parameters copied, 0 fresh" in said
    assert "toy, batch_norm=false, seed 1: 480 parameters copied, 0 fresh" in said
    assert whole.is_done()
    results = finished(out)
    assert [(one.variant, one.seed, one.steps) for one in results] == [
        (AS_IT_IS, 1, 4),
        ("batch_norm=false", 1, 4),
    ]

    (whole.run / "checkpoints" / "step-00000004.pt").unlink()  # as if it had been interrupted
    assert not whole.is_done()
    train_one(whole, place, 1)
    assert whole.is_done()
    assert replace(finished(out)[0], step_s=0) == replace(results[0], step_s=0)
    with pytest.raises(UserError, match="a training with other settings: remove it, or choose another --out"):
        replace(whole, model=replace(PRESETS["tiny"], lr=0.5)).is_done()


def test_pictures_and_figures_are_written_of_all_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "OUT", tmp_path / "figures")
    for variant, side_px in ((AS_IT_IS, 8), ("shape.quantise=false", 5)):
        grids = folder_of(tmp_path, "rdfr", variant, 0) / "grids"
        grids.mkdir(parents=True)
        Image.new("RGB", (8, side_px)).save(grids / "step-00000020.png")
    command.write([*WHOLE, *ALONE], tmp_path)
    assert Image.open(tmp_path / "rdfr.png").size == (8, 8 + 5 + 2 * TITLE_PX)
    assert (tmp_path / "table.md").read_text().count("| model | arm |") == 2
    assert len(json.loads((tmp_path / "figures" / "ablations.json").read_text())) == 1


# --- The mechanism of codes ---


def test_distances_to_the_clean_face_are_in_its_variance() -> None:
    clean = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])  # variance 1
    degraded = torch.tensor([[0.5, 0.5], [-1.0, 0.5]])
    found = distances(clean, degraded, codes=torch.tensor([[1.0, 0.0], [-1.0, 1.0]]))
    assert found.degraded == pytest.approx((0.5 + 0.25) / 2)
    assert found.code == pytest.approx((0 + 1) / 2)
    assert found.clean_code == pytest.approx((0 + 1) / 2)
    assert found.nearer == 0.5


def test_the_codes_of_a_model_are_found_or_their_lack_is_told() -> None:
    tiny = presets("ented")["tiny"]
    networks = tiny.networks()
    with pytest.raises(ValueError, match=r"not in use yet: train beyond codes\.warm_up_steps"):
        codebooks_of(networks)
    networks["dictionary"].used.fill_(True)
    (book,) = codebooks_of(networks).values()
    assert isinstance(book, Codebook)
    assert book.features(torch.rand(1, 3, 64, 64)).shape == (1, tiny.codes.channels, 8, 8)
    assert list(codebooks_of(presets("rdfr")["tiny"].networks())) == [
        f"codebook of {n} px" for n in (8, 16, 32)
    ]
    with pytest.raises(ValueError, match="the run has no codes"):
        codebooks_of({"generator": SimpleNamespace()})
