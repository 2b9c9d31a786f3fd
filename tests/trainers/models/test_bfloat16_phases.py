"""Each phase of each model under bfloat16 autocast: the loss of float32, and a gradient in the same direction.

The smallest cosine measured is 0.97, of RDFR's discriminator; all others are above 0.99. Networks are in eval mode,
as noise drawn in bfloat16 is other noise.
"""

from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from benchmarks.steps import EMBEDDER, faces_for, model_of
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.loop.precision import computing
from facerefs.trainers.loop.training_module import Trainable, TrainingModule
from facerefs.trainers.models.catalogue import MODULES
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch

CPU = torch.device("cpu")
QUIET = {"rdfr": ["shape.noise=false"]}


@pytest.mark.parametrize("name", MODULES)
def test_a_phase_in_bfloat16_goes_where_it_goes_in_float32(name: str) -> None:
    torch.manual_seed(1)
    model = model_of(
        name, "tiny", ["size_px=32" if name == "landmarks" else "shape.size_px=32", *QUIET.get(name, [])]
    )
    networks: dict[str, nn.Module] = model.networks()
    module = model.training_module(networks, CPU, EMBEDDER)
    for network in networks.values():
        _awake(network.eval())
    warp = warp_for(model.size_px) if model.data.references else None
    (batch,) = on_device([faces_for(model, 2, at_once=1)], CPU, warp=warp, points=module.points)
    exact, rough = (_phases(module, model, kind, replace(batch)) for kind in ("float32", "bfloat16"))
    for phase, (terms, gradient), (rough_terms, rough_gradient) in zip(
        module.phases, exact, rough, strict=True
    ):
        if phase.force_fp32:
            assert torch.equal(rough_gradient, gradient), phase.name
            continue
        assert not torch.equal(rough_gradient, gradient), f"{phase.name} knows no bfloat16"
        assert torch.cosine_similarity(rough_gradient, gradient, 0) > 0.96, phase.name
        assert rough_gradient.norm().item() == pytest.approx(gradient.norm().item(), rel=0.1), phase.name
        assert rough_terms == pytest.approx(terms, rel=0.03, abs=0.01), phase.name


def _phases(
    module: TrainingModule, model: Any, precision: Literal["float32", "bfloat16"], batch: DeviceBatch
) -> list[tuple[dict[str, float], Tensor]]:
    """The terms and the gradient of each phase, as the loop computes them, without a step of an optimiser."""
    loop, trainable, found = replace(model.loop, precision=precision), Trainable(module.networks), []
    for phase in module.phases:
        with trainable.only(phase):
            torch.manual_seed(0)
            with computing(loop, CPU, phase.force_fp32):
                terms = phase.loss(batch)
                loss = torch.stack([term.float() for term in terms.values()]).sum()
            gradients = torch.autograd.grad(loss, trainable.of(phase), allow_unused=True)
        flat = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])
        found.append(({name: term.item() for name, term in terms.items()}, flat))
    return found


def _awake(network: nn.Module) -> None:
    """Draw what starts at 0, and use the codes: otherwise gradients would be 0."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    for name, buffer in network.named_buffers():
        if name == "used":
            buffer.fill_(True)
