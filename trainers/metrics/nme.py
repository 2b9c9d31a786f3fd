"""The normalised mean error of landmarks, and the strength of a degradation."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from types import MappingProxyType

import torch
from torch import Tensor

from facerefs.schemas.operations import AnyBlur, Blur, GeneralisedBlur, MotionBlur, PlateauBlur, Resize
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.operations import kernels

_OUTER_CORNERS = (36, 45)  # of the eyes, in the order of iBUG 300-W

# Choices: lowest and highest strength of each bin; of 100 thetas of `refine` at 512 px they get 3, 26, 53 and 18.
BINS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"mild": (0.0, 0.01), "middle": (0.01, 0.02), "severe": (0.02, 0.03), "extreme": (0.03, inf)}
)


_KERNELS: Mapping[type[AnyBlur], Callable[..., Tensor]] = MappingProxyType(
    {  # a sinc filter rings, but does not blur
        Blur: kernels.gaussian_kernels,
        GeneralisedBlur: kernels.generalised_kernels,
        PlateauBlur: kernels.plateau_kernels,
        MotionBlur: kernels.motion_kernels,
    }
)


def nme(found: Tensor, truth: Tensor) -> Tensor:
    """Normalised mean error (B,) of landmarks (B, 68, 2), as a share of the distance between the eyes.

    The mean distance over the points, divided by the distance of the outer eye corners in `truth`: Sagonas et al.,
    "300 Faces In-The-Wild Challenge", 2016, section 5.
    """
    errors: Tensor = (found - truth).norm(dim=-1).mean(-1) / eye_distance(truth)
    return errors


def eye_distance(landmarks: Tensor) -> Tensor:
    """The distance between the outer corners of the eyes: (B, 68, 2) -> (B,) in pixels, at least 1."""
    left, right = (landmarks[:, corner] for corner in _OUTER_CORNERS)
    distance: Tensor = (left - right).norm(dim=-1).clamp(min=1)
    return distance


def strength(thetas: Sequence[Theta], size_px: int) -> Tensor:
    """The blur of thetas on a face of this side: (B,) float32 on the CPU, as a share of the side.

    The standard deviation along one axis of everything that blurs: each kernel, truncated to its taps, and the coarsest
    pixel. With r, the side divided by the width of the smallest image, the latter has a standard deviation of r / 2
    (variance r^2 / 12 of the pixel itself, r^2 / 6 of the bilinear resizing back). Noise, JPEG and colour do not count.
    Choice: with `refine` at 512 px, the error of dlib's landmarks correlates with it (rank correlation 0.72 on real
    faces, 0.49 on rendered ones) better than with the PSNR of the degraded face (-0.54, -0.46) or with the reduction
    alone (0.64, 0.40); it does not correlate with noise (0.08, 0.01).
    """
    return torch.tensor([_variance_px2(theta, size_px) ** 0.5 / size_px for theta in thetas])


def by_strength(errors: Tensor, strengths: Tensor) -> dict[str, Tensor]:
    """The errors (B,) for each bin by name; NaN for samples in other bins."""
    strengths = strengths.to(errors.device, non_blocking=True)
    return {
        name: torch.where((low <= strengths) & (strengths < high), errors, torch.nan)
        for name, (low, high) in BINS.items()
    }


def _variance_px2(theta: Theta, size_px: int) -> float:
    pixel = coarsest = 1.0  # in pixels of the face
    variance = 0.0
    for operation in theta:
        if isinstance(operation, Resize):
            pixel = size_px / operation.out_w
            coarsest = max(coarsest, pixel)
        elif isinstance(operation, AnyBlur):
            variance += pixel**2 * _kernel_variance_px2(operation)
    return variance + (coarsest**2 / 4 if coarsest > 1 else 0.0)


def _kernel_variance_px2(blur: AnyBlur) -> float:
    """The mean of the variances along x and y."""
    if (make := _KERNELS.get(type(blur))) is None:
        return 0.0
    numbers = [
        torch.tensor([value], dtype=torch.float64)
        for name, value in vars(blur).items()  # in the order of the function's arguments
        if name != "taps"
    ]
    kernel = make(blur.taps // 2, torch.tensor([blur.taps]), *numbers)[0]
    place = torch.arange(blur.taps, dtype=kernel.dtype) - blur.taps // 2
    along = kernel.sum(0) + kernel.sum(1)
    return float((along * place**2).sum()) / 2
