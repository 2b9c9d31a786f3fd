"""The benchmark of training: which settings and which steps it times."""

import sys
from collections.abc import Callable

import pytest

from benchmarks import training
from benchmarks.ablations import __main__ as ablations
from benchmarks.training import drawn, parts_of
from facerefs.pipeline.errors import UserError
from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.models.catalogue import MODULES


@pytest.mark.parametrize("preset", ["paper", "tiny"])
@pytest.mark.parametrize("name", MODULES)
def test_no_model_asks_for_a_file_of_weights(name: str, preset: str) -> None:
    model = drawn(name, preset)
    weights = to_dict(model).get("weights", {})
    assert "cache" not in weights.values()
    assert {weights.get(key, "random") for key in ("generator", "discriminator")} == {"random"}


def test_settings_of_the_user_come_last() -> None:
    model = drawn("refine", "paper", ["weights.lpips=cache", "shape.size_px=256"])
    assert (model.weights.lpips, model.weights.generator, model.size_px) == ("cache", "random", 256)


def test_of_rpf_the_last_block_is_timed_and_all_its_refinement_at_once() -> None:
    model = drawn("rpf", "paper", ["shape.size_px=512"])
    parts = parts_of(model)
    assert list(parts) == ["refinement, all blocks", "warping, block 6", "synthesis, block 6"]
    spans = list(parts.values())
    assert spans[0][0] == 0
    assert spans[-1][1] == model.training_stages[-1].end_step
    assert all(
        until - after == 48 for after, until in spans
    )  # three lines of the log, of which the first is left out
    assert parts_of(drawn("refine", "tiny")) == {"": (0, 2_000)}


def test_an_unknown_preset_is_one_sentence() -> None:
    with pytest.raises(UserError, match="refine has no preset 'huge': choose paper, tiny"):
        drawn("refine", "huge")


@pytest.mark.parametrize(
    ("main", "words", "said"),
    [
        (training.main, ["--model", "gan"], "invalid choice: 'gan'"),
        (training.main, ["--steps", "16"], "--steps cannot be 16: the first 16 do not count, so take 32"),
        (ablations.main, ["--models", "gan"], "invalid choice: 'gan'"),
        (ablations.main, ["--jobs", "0"], "--jobs cannot be 0: one training at a time"),
        (ablations.main, ["--seeds", "0"], "--seeds cannot be 0: one is the least"),
        (
            ablations.main,
            ["--arms", "shape.codes=9"],
            "--arms has no shape.codes=9: choose main, all, or of shape.",
        ),
    ],
)
def test_a_wrong_word_is_one_sentence(
    main: Callable[[], None],
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", "nowhere", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
