"""Each step makes each image once: discriminators take the generator's, RPF's frozen modules run once per batch."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facerefs.trainers.loop.training_module import Phase
from facerefs.trainers.losses.augment import augment
from facerefs.trainers.models.common.discriminator_phases import discriminator_phases, unchanged
from facerefs.trainers.models.refine import LossWeights
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from tests.trainers.models.test_ented import SMALL as ENTED
from tests.trainers.models.test_other_embedder import CPU, batch_for
from tests.trainers.models.test_posevaried import SMALL as POSEVARIED
from tests.trainers.models.test_rdfr import SMALL as RDFR
from tests.trainers.models.test_refine import SMALL as REFINE
from tests.trainers.models.test_refine import losses_of as refine_losses
from tests.trainers.models.test_rpf import SMALL as RPF
from tests.trainers.models.test_rpf import losses_of as rpf_losses

MODELS: dict[str, Any] = {"ented": ENTED, "rdfr": RDFR, "posevaried": POSEVARIED, "refine": REFINE}


def phases_of(name: str, networks: dict[str, nn.Module]) -> tuple[Phase, Phase]:
    """The generator's and the discriminator's phase."""
    if name == "refine":  # without an embedder
        losses = refine_losses(networks, LossWeights(distance="pixels", identity=0.0))
        (judging,) = discriminator_phases(networks["discriminator"], losses.fakes, 0, 16)
        return Phase("generator", "generator", ("generator",), losses.generator), judging
    by_name = {phase.name: phase for phase in MODELS[name].training_module(networks, CPU, "").phases}
    return by_name["generator"], by_name["discriminator"]


def drawn(model: Any) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return model.networks()


@pytest.mark.parametrize("name", MODELS)
def test_the_discriminator_takes_the_images_of_the_generator_s_phase_for_each_accumulated_batch(
    name: str,
) -> None:
    networks = drawn(MODELS[name])
    making, judging = phases_of(name, networks)
    judge, look = networks["discriminator"], augment if name == "rdfr" else unchanged
    made: list[Tensor] = []
    networks["generator"].register_forward_hook(
        lambda _network, _given, output: made.append(getattr(output, "image", output).detach().clone())
    )
    batches = [batch_for(MODELS[name]), batch_for(MODELS[name])]
    batches[1] = replace(batches[1], target=batches[1].target.flip(0), degraded=-batches[1].degraded)
    for batch in batches:
        making.loss(batch)
    with torch.no_grad():
        for parameter in networks["generator"].parameters():  # the generator's step
            parameter.mul_(0.9)
        for batch, image in zip(batches, list(made), strict=True):
            torch.manual_seed(3)
            found = judging.loss(batch)["logistic"].item()
            torch.manual_seed(3)
            real, fake = judge(look(batch.target)), judge(look(image))
            softplus = nn.functional.softplus
            assert found == pytest.approx((softplus(-real) + softplus(fake)).mean().item(), rel=1e-5)
        assert len(made) == 2  # passes of the generator, for two batches
        judging.loss(batches[0])
        assert len(made) == 3  # a phase without a generator's before it makes its own: nothing is stale


def test_rpf_runs_its_frozen_modules_once_for_critic_and_module_to_the_same_terms() -> None:
    networks = drawn(RPF)
    for network in networks.values():
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.05)
    passes = dict.fromkeys(networks, 0)

    def counted(name: str) -> None:
        networks[name].register_forward_hook(lambda *_: passes.update({name: passes[name] + 1}))

    for name in networks:
        counted(name)
    losses = rpf_losses(networks)
    for batch in (batch_for(RPF), batch_for(RPF)):  # accumulated
        torch.manual_seed(2)
        terms = {**losses.synthesis_critic(2, batch), **losses.synthesis(2, batch)}
        ran = {name: count for name, count in passes.items() if count}
        once = dict.fromkeys(("warping_1", "synthesis_1", "refinement_1", "warping_2"), 1)
        assert {name: ran.get(name) for name in once} == once
        assert ran["synthesis_2"] == 2  # without gradients for the critic, with them for itself
        passes.update(dict.fromkeys(passes, 0))
        expected: dict[str, Tensor] = {}
        torch.manual_seed(2)
        for part in ("synthesis_critic", "synthesis"):  # each with a chain of its own
            loss = getattr(rpf_losses(networks), part)
            expected |= loss(2, _again(batch))
        assert terms.keys() == expected.keys()
        assert all(torch.equal(terms[name], expected[name]) for name in terms)
        passes.update(dict.fromkeys(passes, 0))


def _again(batch: DeviceBatch) -> DeviceBatch:
    return replace(batch)
