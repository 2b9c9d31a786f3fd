"""The benchmark of training: which settings and which steps it times."""

import pytest

from benchmarks.training import drawn, parts_of
from trainers.loop.plain import plain
from trainers.models.catalogue import MODULES


@pytest.mark.parametrize("preset", ["paper", "tiny"])
@pytest.mark.parametrize("name", MODULES)
def test_no_model_asks_for_a_file_of_weights(name: str, preset: str) -> None:
    model = drawn(name, preset)
    weights = plain(model).get("weights", {})
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
    assert spans[-1][1] == model.lessons[-1].until
    assert all(
        until - after == 48 for after, until in spans
    )  # three lines of the log, of which the first is left out
    assert parts_of(drawn("refine", "tiny")) == {"": (0, 2_000)}
