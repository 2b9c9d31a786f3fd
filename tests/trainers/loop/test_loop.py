"""The loop on a toy model: it resumes to the same numbers, leaves alone what is frozen, and stops when it breaks."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facerefs.trainers.geometry.points import TRUTH
from facerefs.trainers.loop.checkpoint import Checkpoint, checkpoints, newest, read
from facerefs.trainers.loop.nan_guard import Diverged
from facerefs.trainers.loop.optimisers import halvings
from facerefs.trainers.loop.training_module import TrainingModule
from tests.trainers.loop.toy import LOOP, Toy, train_toy

ACCUMULATING = Toy(loop=replace(LOOP, accumulate=2, clip_norm=0.3))


def last(run: Path) -> Checkpoint:
    return read(newest(run / "checkpoints"))


def tensors(state: Any, path: str = "") -> dict[str, Tensor]:
    """All tensors of a checkpoint, by where they stand."""
    if isinstance(state, Tensor):
        return {path: state}
    parts = state if isinstance(state, Mapping) else dict(enumerate(state)) if isinstance(state, list) else {}
    return {
        where: tensor
        for key, part in parts.items()
        for where, tensor in tensors(part, f"{path}/{key}").items()
    }


def assert_same_end(run: Path, other: Path) -> None:
    one, two = last(run), last(other)
    assert (one.step, one.stream) == (two.step, two.stream)
    for part in ("networks", "averages", "optimisers"):
        ours, theirs = tensors(getattr(one, part)), tensors(getattr(two, part))
        assert ours.keys() == theirs.keys()
        assert ours
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(("model", "stop_after"), [(Toy(), 1), (Toy(), 4), (ACCUMULATING, 3)])
def test_interrupted_and_resumed_is_uninterrupted(
    model: Toy, stop_after: int, faces: Path, tmp_path: Path
) -> None:
    whole = train_toy(model, faces, tmp_path / "whole")
    first = train_toy(model, faces, tmp_path / "parts", stop_after=stop_after)
    assert first[-1]["step"] == stop_after
    assert train_toy(model, faces, tmp_path / "parts", resume=True) == whole
    assert_same_end(tmp_path / "whole", tmp_path / "parts")


def test_a_run_that_died_goes_on_from_its_checkpoint_and_its_log_does_not_repeat(
    faces: Path, tmp_path: Path
) -> None:
    """As after kill -9 at step 5: the newest checkpoint is of step 4, the log has gone further."""
    whole = train_toy(Toy(), faces, tmp_path)
    (tmp_path / "checkpoints" / "step-00000006.pt").unlink()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 7, "critic/cri')
    assert train_toy(Toy(), faces, tmp_path, resume=True) == whole
    assert [line["step"] for line in whole] == [1, 2, 3, 3, 4, 5, 6, 6]


def test_landmarks_of_the_clean_face_are_jittered_unless_asked_for_and_always_in_validation(
    faces: Path, tmp_path: Path
) -> None:
    seen: dict[str, set[str]] = {}

    class Watched(Toy):
        def training_module(
            self, networks: dict[str, nn.Module], device: torch.device, embedder: str
        ) -> TrainingModule:
            made = super().training_module(networks, device, embedder)

            def watch(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
                def watched(*given: Any) -> Any:
                    batch = given[-1]
                    off = not torch.equal(batch.seen_landmarks, batch.landmarks)
                    seen.setdefault(what, set()).add(f"{batch.points} {off}")
                    return function(*given)

                return watched

            phases = [replace(phase, loss=watch("training", phase.loss)) for phase in made.phases]
            made = replace(made, phases=phases, scores=watch("validation", made.scores))
            return made if self.lr == Toy.lr else replace(made, points=TRUTH)

    train_toy(Watched(), faces, tmp_path / "default")
    assert seen == {"training": {"jitter True"}, "validation": {"jitter True"}}
    seen.clear()
    train_toy(Watched(lr=2e-3), faces, tmp_path / "truth")
    assert seen == {"training": {"truth False"}, "validation": {"jitter True"}}


def test_rare_looks_tell_the_mean_of_the_steps_between(faces: Path, tmp_path: Path) -> None:
    each = train_toy(Toy(), faces, tmp_path / "each")
    rare = train_toy(
        Toy(loop=replace(LOOP, log_every=6, validate_every=6, checkpoint_every=6)), faces, tmp_path / "rare"
    )
    steps = [line["generator/pixels"] for line in each if "steps" in line]
    assert rare[0]["steps"] == 6
    assert rare[0]["generator/pixels"] == pytest.approx(sum(steps) / 6, rel=1e-12)


def test_a_lazy_phase_comes_each_so_many_steps(faces: Path, tmp_path: Path) -> None:
    lines = train_toy(Toy(), faces, tmp_path)
    assert {line["step"] for line in lines if "r1/penalty" in line} == {3, 6}
    assert {line["step"] for line in lines if "generator/pixels" in line} == set(range(1, 7))


def test_a_phase_comes_only_within_its_range_of_steps(faces: Path, tmp_path: Path) -> None:
    lines = train_toy(Toy(critic_until=2, generator_after=4), faces, tmp_path)
    assert {line["step"] for line in lines if "critic/critic" in line} == {1, 2}
    assert {line["step"] for line in lines if "generator/pixels" in line} == {5, 6}


def test_learning_rates_are_halved_after_the_steps_that_were_named(faces: Path, tmp_path: Path) -> None:
    model = Toy(loop=replace(LOOP, checkpoint_every=1, keep_checkpoints=9), lr=1e-2, halved_after=(2, 4))
    train_toy(model, faces, tmp_path)
    kept = [read(path) for path in checkpoints(tmp_path / "checkpoints")]
    plain = train_toy(replace(model, halved_after=()), faces, tmp_path / "plain")
    halved = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()[1:]]
    same = [
        one["generator/pixels"] == two["generator/pixels"]
        for one, two in zip(plain, halved, strict=True)
        if "generator/pixels" in one
    ]
    assert same == [True, True, True, False, False, False]  # the loss of step 3 is of the weights before it
    rates = {group["lr"] for one in kept for group in one.optimisers["generator"]["param_groups"]}
    assert rates == {1e-2}  # a checkpoint holds the rate that was set, and resuming halves it anew


@pytest.mark.parametrize(("step", "share"), [(2, 1.0), (3, 0.5), (4, 0.5), (5, 0.25)])
def test_a_rate_is_halved_after_the_step_that_is_named(step: int, share: float) -> None:
    assert halvings((2, 4), step) == share


def test_what_happens_between_steps_is_kept_and_goes_on(faces: Path, tmp_path: Path) -> None:
    model = Toy(counts_steps=True, halved_after=(3,))
    train_toy(model, faces, tmp_path, stop_after=4)
    train_toy(model, faces, tmp_path, resume=True)
    assert last(tmp_path).networks["critic"]["steps"] == 6


def test_a_lazy_loss_counts_so_many_times(faces: Path, tmp_path: Path) -> None:
    still = Toy(loop=replace(LOOP, steps=3, validate_every=9), lr=1e-12)
    always = train_toy(replace(still, penalty_every=1), faces, tmp_path / "always")
    lazy = train_toy(still, faces, tmp_path / "lazy")
    assert lazy[2]["r1/penalty"] == pytest.approx(always[2]["r1/penalty"], rel=1e-6)
    assert lazy[2]["r1/gradient_norm"] == pytest.approx(3 * always[2]["r1/gradient_norm"], rel=1e-6)


def test_what_the_model_froze_stays_frozen(faces: Path, tmp_path: Path) -> None:
    train_toy(Toy(lr=0.1), faces, tmp_path)
    paths = checkpoints(tmp_path / "checkpoints")
    early, late = (read(path).networks["critic"] for path in (paths[0], paths[-1]))
    assert torch.equal(early["0.weight"], late["0.weight"])
    assert not torch.equal(early["2.weight"], late["2.weight"])


def test_only_the_networks_of_a_phase_move(faces: Path, tmp_path: Path) -> None:
    train_toy(Toy(lr=0.1), faces, tmp_path)
    state = last(tmp_path).optimisers
    assert len(state["critic"]["state"]) == 2  # the first convolution's weight and bias never had a gradient
    assert len(state["generator"]["state"]) == 6


def test_the_average_is_the_closed_form(faces: Path, tmp_path: Path) -> None:
    model = Toy(loop=replace(LOOP, steps=5, checkpoint_every=1, keep_checkpoints=9, accumulate=2), lr=0.05)
    train_toy(model, faces, tmp_path)
    kept = [read(path) for path in checkpoints(tmp_path / "checkpoints")]
    beta = 0.5 ** (2 * 2 / 20.0)  # batch 2, accumulated twice, half-life 20 images
    weights = [one.networks["generator"]["0.weight"].double() for one in kept]
    first = kept[0].averages["generator"]["0.weight"].double()
    expected = beta**4 * first + sum((1 - beta) * beta ** (4 - k) * weights[k] for k in range(1, 5))
    assert torch.allclose(kept[-1].averages["generator"]["0.weight"].double(), expected, atol=1e-6)
    running = "1.running_mean"
    assert torch.equal(kept[-1].averages["generator"][running], kept[-1].networks["generator"][running])


def test_a_loss_that_is_no_number_ends_training_with_the_last_good_checkpoint(
    faces: Path, tmp_path: Path
) -> None:
    model = Toy(
        loop=replace(LOOP, steps=50, log_every=10, validate_every=50, checkpoint_every=4), broken_at_call=7
    )
    with pytest.raises(Diverged, match=r"at step 7 .* phase generator .*step-00000004[.]pt") as error:
        train_toy(model, faces, tmp_path)
    assert "\n" not in str(error.value)
    assert last(tmp_path).step == 4
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors(last(tmp_path).networks).values())


def test_weights_that_are_no_numbers_are_never_kept(faces: Path, tmp_path: Path) -> None:
    """Gradients are finite, and the step that they lead to is not: the last step, so that no loss tells of it."""
    model = Toy(loop=replace(LOOP, steps=2, checkpoint_every=2), lr=float("inf"))
    with pytest.raises(Diverged, match="there is no checkpoint yet"):
        train_toy(model, faces, tmp_path)
    assert checkpoints(tmp_path / "checkpoints") == []


def test_bfloat16_channels_last_and_accumulation_run_on_a_cpu(faces: Path, tmp_path: Path) -> None:
    exact = train_toy(Toy(), faces, tmp_path / "exact")
    loop = replace(LOOP, precision="bfloat16", channels_last=True)
    rough = train_toy(Toy(loop=loop), faces, tmp_path / "rough")
    assert rough[0]["generator/pixels"] != exact[0]["generator/pixels"]
    assert rough[0]["generator/pixels"] == pytest.approx(exact[0]["generator/pixels"], rel=0.05)
    weight = last(tmp_path / "rough").networks["generator"]["0.weight"]
    assert weight.dtype == torch.float32
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_an_exact_phase_is_in_float32(faces: Path, tmp_path: Path) -> None:
    """The penalty of bfloat16's critic, whose weights are those of float32 at the first step, is float32's."""
    one_step = replace(LOOP, steps=3, validate_every=9)
    exact = train_toy(Toy(loop=one_step, lr=1e-12), faces, tmp_path / "exact")
    rough = train_toy(Toy(loop=replace(one_step, precision="bfloat16"), lr=1e-12), faces, tmp_path / "rough")
    assert rough[2]["r1/penalty"] == pytest.approx(exact[2]["r1/penalty"], rel=1e-6)
    assert rough[2]["critic/critic"] != pytest.approx(exact[2]["critic/critic"], rel=1e-6)


def test_validation_sees_the_same_pixels_and_chances_each_time(faces: Path, tmp_path: Path) -> None:
    lines = train_toy(Toy(lr=0.1), faces, tmp_path)
    first, second = (line for line in lines if "validation/mse" in line)
    assert first["validation/mse"] != second["validation/mse"]
    for name in ("validation/input", "validation/chance"):
        assert first[name] == second[name]
    assert first["validation/never"] is None


def test_another_seed_is_another_run(faces: Path, tmp_path: Path) -> None:
    one = train_toy(Toy(), faces, tmp_path / "one")
    other = train_toy(Toy(loop=replace(LOOP, seed=1)), faces, tmp_path / "other")
    assert one[0] != other[0]
