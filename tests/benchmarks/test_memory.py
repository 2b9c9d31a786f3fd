"""The count of memory is nearly torch's own, and it does not depend on where it is taken."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import memory
from benchmarks.memory import LiveBytes, footprints
from benchmarks.steps import model_of, without_autocast
from facerefs.trainers.networks.stylegan2.discriminator import Discriminator
from facerefs.trainers.networks.stylegan2.widths import widths

CPU, META = torch.device("cpu"), torch.device("meta")


def step(device: torch.device) -> None:
    """A discriminator's gradient penalty and its update: second derivatives, and Adam."""
    with without_autocast(device), device:
        network = Discriminator(32, widths(32, 1, 16))
        images = torch.zeros(4, 3, 32, 32, requires_grad=True)
        adam = torch.optim.Adam(network.parameters())
        (gradient,) = torch.autograd.grad(network(images).sum(), images, create_graph=True)
        gradient.square().sum().backward()
        adam.step()


def test_the_peak_is_nearly_that_of_torchs_own_record_of_allocations() -> None:
    counted = {}
    for device in (CPU, META):
        with LiveBytes(device) as live:
            step(device)
        counted[device.type] = live.peak
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step(CPU)
    now = peak = 0
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    assert counted["meta"] == pytest.approx(counted["cpu"], rel=0.02)
    assert 0.8 * peak < counted["meta"] <= peak  # which also has what kernels allocate within themselves


def test_a_footprint_grows_with_the_batch_and_holds_weights_averages_and_moments() -> None:
    model = model_of("landmarks", "tiny", ["size_px=32"])
    one, four = footprints(model, [1, 4], META)
    weights = sum(parameter.numel() for parameter in model.networks()["heatmaps"].parameters())
    assert one.state == pytest.approx(4 * 4 * weights, rel=0.01)  # the weights, their average, two moments
    assert one.state < one.peak < four.peak


def test_the_table_says_what_fits() -> None:
    row = memory._row(
        "landmarks",
        model_of("landmarks", "tiny"),
        [memory.Footprint(b, 2**30, b * 2**30) for b in (1, 16, 32, 64)],
    )
    assert row == "| `landmarks` | 64 px | 16 | 1.0 GiB | 1.0 GiB | 16.0 GiB | 16 | 32 | 64 |"
