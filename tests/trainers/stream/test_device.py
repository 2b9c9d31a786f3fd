"""Batches made ready ahead of time: right in value, in order, with a clock; the same code on CPU and GPU."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from facerefs.schemas.operations import Mirror
from facerefs.stages.degrade.apply_theta import degrade, degrade_and_resize_back, degrade_exactly, resize_back
from facerefs.stages.degrade.operations.padded_batch import PaddedBatch
from facerefs.trainers.geometry.points import jittered
from facerefs.trainers.geometry.tps import warp_images
from facerefs.trainers.stream.batches.batch import FaceBatch, collate
from facerefs.trainers.stream.batches.device import DeviceBatches, on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch, to_device
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.samples.prepare import FacePreparation
from tests.trainers.face_files import SIZE_PX, THETA, face_files, portrait

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
        ],
    ),
]
both = pytest.mark.parametrize("device", DEVICES)


def _batch(first: int = 0, size: int = 3, masks: bool = False, **settings: Any) -> FaceBatch:
    preparation = FacePreparation(**{"size_px": SIZE_PX, "references": 2, **settings})
    drawn = [
        preparation(SampleRequest(first + i, 0, 0, i), face_files(i, references=i % 3, masks=masks))
        for i in range(size)
    ]
    return collate(drawn, preparation.references)


def _one(batch: FaceBatch, device: str, **settings: Any) -> DeviceBatch:
    return next(on_device([batch], device, **settings))


@both
def test_images_come_as_floats_in_the_range_that_was_asked_for(device: str) -> None:
    batch = _batch(flip_chance=0)
    for low, high in [(-1.0, 1.0), (0.0, 1.0)]:
        ready = _one(batch, device, value_range=(low, high))
        expected = np.stack([portrait(i) for i in range(3)]).transpose(0, 3, 1, 2) / 255 * (high - low) + low
        np.testing.assert_allclose(ready.target.cpu().numpy(), expected, atol=1e-6)
        assert ready.target.is_contiguous()
        assert ready.target.device.type == device
        assert ready.references.shape == (3, 2, 3, SIZE_PX, SIZE_PX)


@both
def test_everything_comes_in_the_dtype_that_was_asked_for(device: str) -> None:
    ready = _one(_batch(masks=True), device, dtype=torch.bfloat16)
    images = (ready.target, ready.degraded, ready.references, ready.warped, ready.warped_masks, ready.valid)
    assert {image.dtype for image in images} == {torch.bfloat16}
    assert ready.landmarks.dtype == torch.float32
    precise = _one(_batch(masks=True), device)
    assert (ready.degraded.float() - precise.degraded).abs().max() < 0.01


@both
def test_a_stored_degraded_face_comes_back_at_full_size(device: str) -> None:
    ready = _one(_batch(flip_chance=0), device, value_range=(0, 1))
    target = torch.from_numpy(portrait(0)).permute(2, 0, 1)[None].double() / 255
    (made,) = degrade_exactly(target, [THETA])
    stored = torch.from_numpy(made.image).permute(2, 0, 1)[None].float() / 255
    expected = torch.nn.functional.interpolate(stored, (SIZE_PX, SIZE_PX), mode="bilinear")
    assert (ready.degraded[:1].cpu() - expected).abs().max() < 1e-4


@both
def test_a_stored_degraded_face_is_what_the_engine_makes_of_the_target(device: str) -> None:
    """Flipped faces too: the program of a batch is that of what it holds."""
    batch = _batch(flip_chance=1.0)
    stored = _one(batch, device, value_range=(0, 1)).degraded.cpu()
    made = resize_back(degrade(batch.target.float() / 255, batch.program), SIZE_PX, SIZE_PX)
    # The engine's JPEG is not libjpeg to the bit; a wrong theta is off by tens of levels.
    assert (stored - made).abs().mean() < 2 / 255
    assert all(theta[0] == Mirror() == theta[-1] for theta in batch.thetas)


@both
def test_a_fresh_degradation_is_that_of_the_logged_theta(device: str) -> None:
    batch = _batch(degradation="gfpgan")
    assert batch.degraded is None
    ready = _one(batch, device, value_range=(0, 1))
    expected = resize_back(degrade(batch.target.float() / 255, batch.thetas), SIZE_PX, SIZE_PX)
    assert (ready.degraded.cpu() - expected).abs().mean() < 1e-3
    assert _one(batch, device, degrade=None).degraded is None


@both
def test_references_are_warped_onto_the_targets_landmarks_and_padding_is_not_valid(device: str) -> None:
    batch = _batch(masks=True)
    ready = _one(batch, device, value_range=(0, 1))
    assert batch.reference_count.tolist() == [0, 1, 2]
    assert ready.valid.flatten(2).any(-1).cpu().tolist() == [[False, False], [True, False], [True, True]]
    expected, valid = warp_images(
        batch.references[2].float() / 255,
        batch.reference_landmarks[2],
        batch.landmarks[2].expand(2, 68, 2),
    )
    assert (ready.warped[2].cpu() - expected).abs().mean() < 1e-3
    assert (ready.valid[2].cpu() != valid).float().mean() < 1e-3
    masks, _ = warp_images(
        batch.reference_masks[2].float() / 255,
        batch.reference_landmarks[2],
        batch.landmarks[2].expand(2, 68, 2),
    )
    assert (ready.warped_masks[2].cpu() - masks).abs().mean() < 1e-3
    assert torch.isfinite(ready.warped).all()
    without = _one(batch, device, warp=None)
    assert without.warped is without.valid is without.warped_masks is None


@both
def test_batches_come_in_order_and_all_of_them(device: str) -> None:
    made = [_batch(first) for first in (0, 3, 6, 9)]
    for prefetch in (1, 2, 7):
        positions = [ready.positions.tolist() for ready in on_device(made, device, prefetch=prefetch)]
        assert positions == [[i, i + 1, i + 2] for i in (0, 3, 6, 9)]


def test_an_exhausted_iterator_stays_exhausted() -> None:
    ready = on_device([_batch()], "cpu")
    assert len(list(ready)) == 1
    assert next(ready, None) is None


def test_no_batch_is_taken_from_the_source_beyond_those_that_may_be_ready() -> None:
    taken: list[int] = []

    def source() -> Iterator[FaceBatch]:
        for number in range(20):
            taken.append(number)
            yield _batch(number)

    ready = on_device(source(), "cpu", prefetch=3)
    next(ready)
    next(ready)
    time.sleep(0.3)
    assert len(taken) == 5
    ready.close()


def test_an_error_of_the_source_is_raised_where_the_batch_would_have_come() -> None:
    def source() -> Iterator[FaceBatch]:
        yield _batch()
        raise OSError("the disk is gone")

    ready = on_device(source(), "cpu")
    next(ready)
    with pytest.raises(OSError, match="the disk is gone"):
        next(ready)
    assert next(ready, None) is None


def test_after_an_error_the_source_is_left_alone() -> None:
    """A stream whose worker died would start its workers anew, for batches that nobody gets."""

    class Broken(Iterator[FaceBatch]):
        asked = 0

        def __next__(self) -> FaceBatch:
            self.asked += 1
            raise OSError("the disk is gone")

    source = Broken()
    ready = on_device(source, "cpu", prefetch=4)
    time.sleep(0.1)
    with pytest.raises(OSError, match="the disk is gone"):
        next(ready)
    assert source.asked == 1


def test_an_error_of_the_work_is_raised_too() -> None:
    def refuse(images: Tensor, program: object) -> PaddedBatch:
        raise ValueError("no degradation today")

    with pytest.raises(ValueError, match="no degradation today"):
        next(on_device([_batch(degradation="gfpgan")], "cpu", degrade=refuse))
    with pytest.raises(ValueError, match="prefetch is at least 1, not 0"):
        on_device([], "cpu", prefetch=0)


def test_waiting_is_counted_when_the_source_is_slow_and_work_when_the_consumer_is() -> None:
    def source(pause_s: float) -> Iterator[FaceBatch]:
        for _ in range(5):
            time.sleep(pause_s)
            yield batch

    batch = _batch()
    slow = on_device(source(0.1), "cpu", degrade=None, warp=None)
    for _ in slow:
        pass
    assert slow.waited_s > 0.4
    assert slow.waiting_share > 0.8

    fast = on_device(source(0.0), "cpu", degrade=None, warp=None)
    for _ in fast:
        time.sleep(0.1)
    assert fast.busy_s > 0.35
    assert fast.waiting_share < 0.5


class _Counting(Iterator[FaceBatch]):
    """A source that knows how many batches it gave."""

    def __init__(self) -> None:
        self.given = 0

    def __next__(self) -> FaceBatch:
        self.given += 1
        return _batch(self.given)

    def state_dict(self) -> dict[str, int]:
        return {"given": self.given}


def test_the_state_is_that_of_what_was_handed_out_not_of_what_was_read_ahead() -> None:
    source = _Counting()
    ready = on_device(source, "cpu", prefetch=3)
    assert ready.state_dict() == {"given": 0}
    for handed_out in (1, 2, 3):
        next(ready)
        assert ready.state_dict() == {"given": handed_out}
    time.sleep(0.2)
    assert source.given > 3
    ready.close()
    with pytest.raises(TypeError, match="no state_dict"):
        on_device([_batch()], "cpu").state_dict()


def test_ready_batches_need_no_gradient_and_leave_the_batch_as_it_was() -> None:
    batch = _batch()
    before = batch.target.clone()
    ready = _one(batch, "cpu")
    assert not ready.degraded.requires_grad
    ready.target.zero_()
    ready.references.zero_()
    assert torch.equal(batch.target, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu_pinned_batches_are_right_while_the_consumer_is_at_work() -> None:
    made = [_batch(i, degradation="gfpgan").pin_memory() for i in range(12)]
    assert made[0].target.is_pinned()
    expected = [_one(batch, "cpu").degraded for batch in made]
    ready: DeviceBatches = on_device(made, "cuda", prefetch=2)
    weights = torch.rand(4096, 4096, device="cuda")
    sums = []
    for batch in ready:
        for _ in range(10):
            weights = (weights @ weights).clamp(0, 1)  # keeps the consumer's stream busy behind the host
        sums.append(batch.degraded.double().mean())
        del batch
    got = torch.stack(sums).cpu()
    want = torch.stack([degraded.double().mean() for degraded in expected])
    assert (got - want).abs().max() < 1e-3
    assert 0 <= ready.waiting_share < 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu_the_host_does_not_wait_while_a_batch_is_made() -> None:
    batch = _batch(degradation="gfpgan").pin_memory()
    place, spread = torch.device("cuda", 0), (-1.0, 1.0)

    def make() -> DeviceBatch:
        return to_device(
            batch, place, degrade_and_resize_back, warp_images, torch.float32, spread, jittered()
        )

    make()  # what is kept for each device is made once
    torch.cuda.set_sync_debug_mode("error")
    try:
        made = make()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert made.warped.device == place
