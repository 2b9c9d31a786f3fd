"""The restored face is degraded exactly as the truth was, and the gradient knows it."""

import pytest
import torch

from facerefs.stages.degrade.apply_theta import degrade_and_resize_back
from facerefs.stages.degrade.program import Program, compile_thetas
from facerefs.stages.degrade.recipes import RECIPES, derive_seed, draw
from facerefs.trainers.losses.cycle import degraded_again
from facerefs.trainers.stream.batches.batch import collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.samples.prepare import FacePreparation
from tests.trainers.face_files import SIZE_PX, face_files


def _ready(recipe: str, size: int = 4, flip_chance: float = 0.5) -> DeviceBatch:
    preparation = FacePreparation(size_px=SIZE_PX, references=1, degradation=recipe, flip_chance=flip_chance)
    batch = collate(
        [preparation(SampleRequest(i, 0, 0, i), face_files(i, references=1)) for i in range(size)], 1
    )
    return next(on_device([batch], "cpu"))


def test_the_truth_gives_the_very_degraded_faces_of_its_batch() -> None:
    ready = _ready("refine", 8)
    assert ready.degraded is not None
    assert (ready.degraded - ready.target).abs().mean() > 0.05
    assert torch.equal(degraded_again(ready.target, ready.program), ready.degraded)


@pytest.mark.parametrize("recipe", RECIPES)
def test_any_recipe_gives_them_but_for_rounding(recipe: str) -> None:
    ready = _ready(recipe, 2)
    assert ready.degraded is not None
    difference = (degraded_again(ready.target, ready.program) - ready.degraded).abs()
    assert difference.mean() < 1e-5


@pytest.mark.parametrize("flip_chance", [0.0, 1.0])
def test_stored_degraded_faces_come_back_but_for_libjpegs_rounding_mirrored_ones_too(
    flip_chance: float,
) -> None:
    ready = _ready("stored", 2, flip_chance)
    assert ready.degraded is not None
    found = degraded_again(ready.target, ready.program)
    assert (found - ready.degraded).abs().mean() < 0.02
    assert (found.flip(3) - ready.degraded).abs().mean() > 0.1


def test_it_is_the_engine_on_the_clamped_face_in_the_other_range() -> None:
    ready = _ready("refine", 2)
    restored = ready.target * 1.7 + 0.1
    assert (restored.abs() > 1).any()
    seen = ((restored.clamp(-1, 1) + 1) / 2).clamp(0, 1)
    expected = degrade_and_resize_back(seen, ready.thetas) * 2 - 1
    found = degraded_again(restored, ready.program)
    assert (found - expected).abs().mean() < 1e-4
    assert found.abs().max() <= 1


def test_the_gradient_leads_towards_the_degraded_face() -> None:
    ready = _ready("refine")
    assert ready.degraded is not None
    restored = torch.zeros_like(ready.target, requires_grad=True)
    optimiser = torch.optim.Adam([restored], 0.03)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = (degraded_again(restored, ready.program) - ready.degraded).square().mean()
        losses.append(loss.item())
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.5 * losses[0]


def test_half_precision_is_degraded_in_single() -> None:
    ready = _ready("refine", 2)
    found = degraded_again(ready.target.bfloat16(), ready.program)
    assert found.dtype == torch.float32
    assert torch.equal(found, degraded_again(ready.target.bfloat16().float(), ready.program))


def _nothing(size_px: int) -> Program:
    return compile_thetas([()], size_px, size_px)


@pytest.mark.parametrize(
    ("value", "gradient", "passes"),
    [(0.5, 1, True), (0.5, -1, True), (1.5, 1, True), (1.5, -1, False), (-1.5, -1, True), (-1.5, 1, False)],
)
def test_outside_the_range_the_gradient_passes_only_if_it_leads_back(
    value: float, gradient: float, passes: bool
) -> None:
    restored = torch.full((1, 3, 8, 8), value, requires_grad=True)
    degraded_again(restored, _nothing(8)).backward(torch.full((1, 3, 8, 8), float(gradient)))
    assert restored.grad is not None
    assert torch.equal(restored.grad, torch.full_like(restored, gradient * passes))


def test_a_real_recipe_passes_gradient_to_every_image() -> None:
    thetas = [draw(RECIPES["refine"], derive_seed(0, str(i), 0), SIZE_PX) for i in range(3)]
    restored = torch.rand(3, 3, SIZE_PX, SIZE_PX).mul(2).sub(1).requires_grad_()
    degraded_again(restored, compile_thetas(thetas, SIZE_PX, SIZE_PX)).square().sum().backward()
    assert restored.grad is not None
    assert (restored.grad.abs().sum((1, 2, 3)) > 0).all()
