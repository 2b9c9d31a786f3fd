"""The distance between the eyes and mouths of two faces after an affine map of each component (ASFFNet)."""

from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Float32s, Float64s
from facerefs.stages.references.face_arrays import Block

EYES_AND_BROWS = (*range(17, 27), *range(36, 48))
MOUTH = tuple(range(48, 68))
EYE_WEIGHT, MOUTH_WEIGHT = 1.01, 1.49
_FLAT = 1e-6  # points are on a line if their spread across it is below this share of that along it


def fit_distance(landmarks: Float32s, block: Block) -> Float64s:
    """The score of ASFFNet (Li et al., CVPR 2020) for each pair of a block, (P, t, n): less is better.

    landmarks: float32 (N, 68, 2) of all faces, as a share of the crop's side.
    1.01 x the residual of eyes and brows + 1.49 x that of the mouth, after the affine map of the reference's
    points to the target's that is best by least squares; a residual is the root of the sum of squares over the
    points, as the authors' ASFFNet512 has it (the paper learns weights of squares), as a share of the crop's side.
    """
    target = block.targets(landmarks)
    reference = block.references(landmarks)
    eyes = _residual(_Component.of(target, EYES_AND_BROWS), _Component.of(reference, EYES_AND_BROWS))
    mouth = _residual(_Component.of(target, MOUTH), _Component.of(reference, MOUTH))
    return EYE_WEIGHT * eyes + MOUTH_WEIGHT * mouth


@dataclass(frozen=True)
class _Component:
    """Some points of faces about their centre: x and y, each (..., m)."""

    x: Float64s
    y: Float64s

    @classmethod
    def of(cls, landmarks: Float32s, points: tuple[int, ...]) -> "_Component":
        """landmarks: float32 (..., 68, 2)."""
        x, y = (landmarks[..., axis][..., points].astype(np.float64) for axis in (0, 1))
        return cls(x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True))


def _residual(target: _Component, reference: _Component) -> Float64s:
    """The residuals (P, t, n): roots of the sum of squares less the squares of the projections.

    Affine maps of the reference's points are the linear combinations of their x, their y and a constant. With the
    points centred the constant is 0, and an orthonormal basis of x and y spans the rest.
    """
    rest = (_square(target.x) + _square(target.y))[:, :, None]
    for direction in _basis(reference):
        for coordinate in (target.x, target.y):
            rest = rest - np.einsum("ptm,pnm->ptn", coordinate, direction) ** 2
    return np.sqrt(np.maximum(rest, 0))


def _basis(reference: _Component) -> tuple[Float64s, Float64s]:
    """Two orthonormal directions (P, n, m) that span x and y; zero if the points lie on a line or are one point."""
    first = _unit(reference.x, _square(reference.x))
    upright = reference.y - np.sum(reference.y * first, axis=-1, keepdims=True) * first
    return first, _unit(upright, _square(reference.x) + _square(reference.y))


def _unit(direction: Float64s, size: Float64s) -> Float64s:
    """The direction at length 1; 0 if its length is negligible beside the root of `size`."""
    length = np.sqrt(_square(direction))[..., None]
    there = length > _FLAT * np.sqrt(size)[..., None]
    return np.where(there, direction / np.where(there, length, 1), 0)


def _square(values: Float64s) -> Float64s:
    return np.asarray((values**2).sum(axis=-1))
