"""Blur, bilinear resize and noise of a face whose pixels are rounded next: most of it in single precision.

Rounding hides how a value was computed, unless it lies close to a half. So the face is blurred and resized in single
precision, which takes half the time, and the few pixels whose noisy value lies within `_MARGIN` of a half are computed
again in double precision, one by one. These also show how far off single precision is: if one of them is off by more
than half the margin, or if there are very many, the whole face is computed in double precision. So the pixels are those
of double precision.
"""

from collections.abc import Sequence

from torch import Tensor

from facerefs.schemas.operations import Jpeg, Noise, Resize
from facerefs.stages.degrade.apply_operation import apply_step, kernels_of, resized
from facerefs.stages.degrade.operations.noise import normal_noise, with_noise
from facerefs.stages.degrade.operations.resize import bilinear_at
from facerefs.stages.degrade.program import ProgramStep

_MARGIN = 2e-6  # of values in [0, 1]; single precision is off by up to 6e-7 (docs/degradation.md)
_MOST_DOUBTFUL = 4096  # pixels: about one in 1,000 is, and each needs 20 KB


def begins_with_blur_and_noise(steps: Sequence[ProgramStep]) -> bool:
    """Whether the first two steps are a blur with a bilinear resize, and Gaussian noise, and rounding is next."""
    if len(steps) < 2 or steps[0].kind.blur is None or steps[0].kind.choice != "bilinear":
        return False
    kinds = [step.kind.operation for step in steps[:3]]
    return kinds[:2] == [Resize, Noise] and kinds[2:] in ([], [Jpeg])


def blurred_with_noise(image: Tensor, blur: ProgramStep, noise: ProgramStep) -> Tensor:
    """What the two steps make of an image (1, 3, H, W): float64 values in [0, 1] that times 255 round as exact ones."""
    kernels = kernels_of(blur, image.new_empty(0).double())
    made = resized(blur, image.float(), kernels.float()).double()
    drawn = normal_noise(made, blur.after, bool(noise.kind.choice), noise.values["seed"]).expand_as(made)
    sigma = noise.values["sigma"]
    noisy = with_noise(made, drawn, sigma)
    to_a_half = (noisy * 255).frac_().sub_(0.5).abs_()
    doubtful = (to_a_half < 255 * _MARGIN).nonzero()
    if len(doubtful) > _MOST_DOUBTFUL:
        return apply_step(noise, apply_step(blur, image.double()))
    at = doubtful.unbind(1)
    exact = bilinear_at(image, blur.before, blur.after, kernels, doubtful[:, 1:])
    if bool(((made[at] - exact).abs() > _MARGIN / 2).any()):
        return apply_step(noise, apply_step(blur, image.double()))
    noisy[at] = with_noise(exact[None], drawn[at][None], sigma)[0]
    return noisy
