"""Apply one step of a program to the pixels of its images."""

from collections.abc import Callable
from dataclasses import fields
from typing import Literal, cast

from torch import Tensor

from facerefs.schemas.operations import (
    Blur,
    Brightness,
    ColourShift,
    Contrast,
    GeneralisedBlur,
    Gray,
    Hue,
    Jpeg,
    Mirror,
    MotionBlur,
    Noise,
    Operation,
    PlateauBlur,
    PoissonNoise,
    Resize,
    ResizeMode,
    Saturation,
    SincBlur,
)
from facerefs.stages.degrade.operations import colour, kernels
from facerefs.stages.degrade.operations.blur import blur
from facerefs.stages.degrade.operations.noise import add_noise, add_poisson_noise
from facerefs.stages.degrade.operations.padded_batch import mirror
from facerefs.stages.degrade.operations.resize import Gaussians, resize
from facerefs.stages.degrade.operations.soft_jpeg import soft_jpeg
from facerefs.stages.degrade.program import ProgramStep


def apply_step(step: ProgramStep, images: Tensor) -> Tensor:
    """The images after the step: (n, 3, H, W) RGB in [0, 1], of sizes `step.before`, then of sizes `step.after`."""
    kind = step.kind.operation
    if kind in _KERNELS:
        return blur(images, step.before, _kernels(step, kind, images))
    if kind is Resize:
        return resized(step, images)
    if kind in (Noise, PoissonNoise):
        return _noisy(step, images)
    if kind is Jpeg:
        chroma = cast(Literal["4:2:0", "4:4:4"], step.kind.choice)
        return soft_jpeg(images, step.before, step.values["quality"], chroma)
    if kind is Mirror:
        return mirror(images, step.before)
    return _recoloured(step, images)


_KERNELS: dict[type[Operation], Callable[..., Tensor]] = {
    Blur: kernels.gaussian_kernels,
    GeneralisedBlur: kernels.generalised_kernels,
    PlateauBlur: kernels.plateau_kernels,
    SincBlur: kernels.sinc_kernels,
    MotionBlur: kernels.motion_kernels,
}


def _kernels(step: ProgramStep, kind: type[Operation], images: Tensor) -> Tensor:
    """Kernels (n, K, K). Each function of `kernels` takes the fields of its operation, in their order."""
    taps, *numbers = (step.values[field.name] for field in fields(kind))
    return _KERNELS[kind](step.reach, taps, *(number.to(images) for number in numbers))


def resized(step: ProgramStep, images: Tensor, kernels: Tensor | None = None) -> Tensor:
    """The images after a resize and the blur before it. kernels: `kernels_of` it, if they are known already."""
    mode = cast(ResizeMode, step.kind.choice)
    blur: Gaussians | Tensor | None = kernels
    if step.kind.along_axes:
        sigma_x, sigma_y = step.values["sigma_x_px"], step.values["sigma_y_px"]
        blur = Gaussians(step.values["taps"], step.reach, sigma_x, sigma_y)
    elif step.kind.blur is not None and kernels is None:
        blur = kernels_of(step, images)
    return resize(images, step.before, step.after, mode, blur)


def kernels_of(step: ProgramStep, like: Tensor) -> Tensor:
    """The kernels (n, K, K) of the blur that a resize begins with, of the dtype and on the device of `like`."""
    if step.kind.blur is None:
        raise ValueError("there is no blur before this resize")
    return _kernels(step, step.kind.blur, like)


def _noisy(step: ProgramStep, images: Tensor) -> Tensor:
    gray, seeds = bool(step.kind.choice), step.values["seed"]
    if step.kind.operation is Noise:
        return add_noise(images, step.before, step.values["sigma"], gray, seeds)
    return add_poisson_noise(images, step.before, step.values["scale"], gray, seeds)


def _recoloured(step: ProgramStep, images: Tensor) -> Tensor:
    values = step.values
    match step.kind.operation:
        case kind if kind is ColourShift:
            return colour.shift(images, values["red"], values["green"], values["blue"])
        case kind if kind is Brightness:
            return colour.brightness(images, values["factor"])
        case kind if kind is Contrast:
            return colour.contrast(images, step.before, values["factor"])
        case kind if kind is Saturation:
            return colour.saturation(images, values["factor"])
        case kind if kind is Hue:
            return colour.hue(images, values["turn"])
        case kind if kind is Gray:
            return colour.gray(images)
    raise TypeError(f"{step.kind.operation.__name__} is no operation of theta")
