"""What the cosines of an embedder mean."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Calibration:
    """Cosines of an embedder: from `same` on, one person; from `copy` on, perhaps one photo."""

    same: float
    copy: float


CALIBRATIONS = {
    # Measured on 76 photos of 5 people. dlib's own rule, distance < 0.6 before scaling to unit length, is
    # cosine 0.924 (of one person 5/50/95 %: 0.939, 0.967, 0.981; of others 99/100 %: 0.915, 0.943). A photo
    # and its re-encoded, resized, cropped, rotated or toned copy: 0.994 at least.
    "dlib-resnet-128": Calibration(same=0.924, copy=0.985),
    # MobileFaceNet: of one person 5/50/95 %: 0.51, 0.75, 0.84; of others 99/100 %: 0.28, 0.40; copies: 0.944
    # at least.
    "arcface:": Calibration(same=0.40, copy=0.90),
}
"""By the beginning of the embedder's name."""


def calibration_of(embedder: str) -> Calibration:
    """The calibration whose prefix the embedder's name has. Raises ValueError if there is none."""
    for prefix, calibration in CALIBRATIONS.items():
        if embedder.startswith(prefix):
            return calibration
    raise ValueError(
        f"what the cosines of the embedder {embedder!r} mean is not known: "
        "set the similarity thresholds in the configuration"
    )
