"""The arms of each model: settings that take an idea of its paper away, or that add one of ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

AS_IT_IS = "as it is"
FIGURES: Mapping[str, str] = {
    "psnr": "dB",
    "ssim": "",
    "identity_truth": "cosine",
    "identity_reference": "cosine",
    "lpips_alex": "",
}
"""The figures that judge an arm, and their units."""

LOWER_IS_BETTER = frozenset({"lpips_alex"})


@dataclass(frozen=True)
class Arm:
    """Settings, as `--set` takes them, separated by spaces. adds: whether they add an idea, else they take one away."""

    settings: str
    adds: bool = False


WITHOUT: Mapping[str, Sequence[str]] = {
    "rdfr": ("shape.quantise=false", "shape.gated_fusion=false", "shape.noise=false"),
    "ented": (
        "shape.dictionary=false",
        "shape.refine_latent=false",
        "shape.residuals=false",
        "shape.style=false",
    ),
    "rpf": ("shape.reference=false", "shape.masks=false", "shape.progressive=false"),
    "posevaried": ("shape.mmrb=false", "losses.local=0", "prior_lr=0 losses.frozen_layers=0"),
    "refine": ("losses.objective=baseline",),
}
"""The ablations that each paper makes, as settings; the first one is of its main idea."""

OURS: Mapping[str, Sequence[str]] = {
    "rdfr": ("shape.residual_blocks=0",),
    "ented": ("losses.attention_sides=sum",),
}
"""What takes away choices of the preset `tiny` that are not in a paper and were measured as helping."""

WITH: Mapping[str, Sequence[str]] = {
    "rdfr": ("shape.codes=1024", "losses.draws=2", "losses.clean_codes=0.1"),
    "ented": ("shape.noise=false",),
    "rpf": ("losses.outside=0.1", "losses.outside=0.02", "losses.wasserstein_divisor=one"),
    "posevaried": ("losses.scales_until=null",),
    "refine": (
        "data.reference_choice=random",
        "shape.mask_bias=-2",
        "shape.fusions=2",
        "shape.noise=false",
        "shape.style_norm=true style_lr=2e-5",
    ),
}
"""Ideas to try that neither paper nor preset has."""

LONGER: Mapping[str, Mapping[str, int]] = {
    "shape.progressive=false": {"schedule.warping_steps": 3, "schedule.synthesis_steps": 3},
}
"""Factors of steps, so that a training without an idea is as long: one block instead of the preset's three."""

SCHEDULES: Mapping[str, Sequence[str]] = {
    "rpf": ("schedule.refinement_steps", "schedule.warping_steps", "schedule.synthesis_steps"),
    "ented": ("codes.warm_up_steps", "codes.every", "codes.until"),
    "posevaried": ("losses.scales_until",),
}
"""The settings that count steps of a training besides loop.steps."""


def arms_of(name: str, chosen: Sequence[str]) -> list[Arm]:
    """The chosen arms of a model: by their settings, `main` for its paper's main idea, `all` for all that are known."""
    taken = [*WITHOUT[name], *OURS.get(name, ())]
    known = [Arm(one) for one in taken] + [Arm(one, adds=True) for one in WITH.get(name, ())]
    return [
        arm
        for number, arm in enumerate(known)
        if "all" in chosen or arm.settings in chosen or (number == 0 and "main" in chosen)
    ]


def known_arms(names: Sequence[str]) -> list[str]:
    """The settings of all arms of these models."""
    return [arm.settings for name in names for arm in arms_of(name, ["all"])]
