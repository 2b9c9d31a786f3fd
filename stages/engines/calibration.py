"""The similarity thresholds of known embedders, and the photos that they were measured on.

Measured on 85 real photos of 10 people (76 of five of them), with the faces found by the engine's own detector and
dlib's 68 points: 582 pairs of two photos of one person, 2,988 pairs of two people, and of each photo the eight copies
of `stages.copies.copy_augmentations`. Of the 680 copies 676 (dlib) and 679 (ArcFace) are found; none of the 3,570 pairs
of photos is taken for a copy, nor any of the 289,170 pairs of copies of different photos. The thresholds were chosen
on these same photos, which are few: `facerefs calibrate` measures on your own photos.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Calibration:
    """Cosine thresholds of an embedder. From each value upwards, two faces may be ..."""

    same: float  # one person
    copy: float  # one shot, if their crops look alike
    session: float  # shots of one session, however they look
    same_shot: float  # one shot, if crop hashes are fairly near or landmarks agree; two shots hardly reach it


CALIBRATIONS = {
    # One person, 5/50/95/99/100 %: 0.939, 0.967, 0.981, 0.986, 0.993. Two people, 50/99/100 %: 0.832, 0.911, 0.943.
    # Copies, 0/1/5/50 %: 0.985, 0.989, 0.992, 0.999; mirrored ones 0.985, 0.985, 0.988, 0.994. The three pairs of
    # one session: 0.992, 0.993, 0.993; the next pair 0.987. Between edits of different photos: 0.994 at most.
    # dlib's own rule for one person, distance < 0.6 before scaling to unit length, is cosine 0.924.
    "dlib-resnet-128": Calibration(same=0.924, copy=0.984, session=0.99, same_shot=0.995),
    # MobileFaceNet. One person, 5/50/95/99/100 %: 0.52, 0.75, 0.85, 0.88, 0.96. Two people, 50/99/100 %: 0.02, 0.28,
    # 0.41. Copies, 0/1/5/50 %: 0.925, 0.950, 0.965, 0.995; mirrored ones 0.925, 0.939, 0.949, 0.974. The three pairs
    # of one session: 0.930, 0.950, 0.964; the next pair 0.899. Between edits of different photos: 0.968 at most.
    "arcface:arcface_mobilefacenet_128d": Calibration(same=0.40, copy=0.90, session=0.92, same_shot=0.97),
}
"""By the name of the embedder."""

FALLBACKS = {"dlib-resnet-128:": "dlib-resnet-128", "arcface:": "arcface:arcface_mobilefacenet_128d"}
"""For families of embedders (by prefix) that were not measured: the embedder whose thresholds are used instead."""


def calibration_of(embedder: str) -> Calibration:
    """The calibration of an embedder, its own or that of its fallback. Raises ValueError if there is none."""
    fallback = fallback_of(embedder)
    known = CALIBRATIONS.get(embedder if fallback is None else fallback)
    if known is not None:
        return known
    raise ValueError(
        f"what the cosines of the embedder {embedder!r} mean is not known: measure it with facerefs calibrate, "
        "or set the similarity thresholds in the configuration"
    )


def fallback_of(embedder: str) -> str | None:
    """The embedder whose calibration is used for one that was not measured; None if it has its own, or none at all."""
    if embedder in CALIBRATIONS:
        return None
    return next((fallback for family, fallback in FALLBACKS.items() if embedder.startswith(family)), None)
