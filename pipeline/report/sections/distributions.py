"""Histograms of a build: similarities, distances, poses, quality and degradations."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.report.histogram import Histogram, Series, histogram
from facerefs.pipeline.report.sampling import spread
from facerefs.pipeline.report.sections.people import identified_faces
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas import theta
from facerefs.schemas.arrays import Float64s
from facerefs.schemas.operations import (
    Blur,
    GeneralisedBlur,
    Jpeg,
    MotionBlur,
    Noise,
    PlateauBlur,
    PoissonNoise,
    Resize,
    SincBlur,
)
from facerefs.schemas.theta import Theta

_MAX_THETAS = 20_000  # more are sampled evenly
_BLURRED = "Geometric mean of both axes, in pixels of the image before the blur."


def distributions(storage: Storage, config: Mapping[str, Any]) -> list[Histogram]:
    """The histograms for which the build has values. config: the build's configuration, for its limits."""
    drawn = [*_similarities(storage), *_faces(storage, config.get("analyse") or {}), *_degradations(storage)]
    return [one for one in drawn if one is not None]


def _similarities(storage: Storage) -> Iterator[Histogram | None]:
    known = identified_faces(storage)
    yield histogram(
        "Similarity to identities",
        [
            Series("own identity", _values(known, "similarity")),
            Series("nearest other", _values(known, "other_similarity")),
        ],
        unit="cosine to the identity's centre",
        note="The further apart the two, the more certain the identities.",
        digits=3,
    )
    pairs = storage.scan("pairs", ("landmark_distance", "pose_gap", "reject"))
    pairs = pairs.filter(pc.is_null(pairs.column("reject")))
    yield histogram(
        "Landmark distance of references",
        [Series("", 100 * _values(pairs, "landmark_distance"))],
        unit="% of the crop's side",
        note="Mean L1 distance of the 68 landmarks between target and reference.",
        digits=2,
    )
    yield histogram(
        "Pose gap of references",
        [Series("", _values(pairs, "pose_gap"))],
        unit="degrees",
        note="The larger of the differences in yaw and in pitch.",
    )


def _faces(storage: Storage, limits: Mapping[str, Any]) -> Iterator[Histogram | None]:
    faces = storage.scan("faces", ("yaw", "pitch", "sharpness", "niqe", "brisque", "face_px"))
    yield histogram(
        "Yaw",
        [Series("", _values(faces, "yaw"))],
        unit="degrees",
        note="Positive: turned towards the right edge of the photo.",
        limit=limits.get("max_yaw_deg"),
    )
    yield histogram(
        "Pitch", [Series("", _values(faces, "pitch"))], unit="degrees", note="Positive: looking up."
    )
    yield histogram(
        "Face size",
        [Series("", _values(faces, "face_px"))],
        unit="px",
        note="Side of the aligned square in the photo, before resizing.",
        limit=limits.get("min_face_px"),
        digits=0,
    )
    yield histogram(
        "Sharpness",
        [Series("", _values(faces, "sharpness"))],
        unit="variance of the Laplacian",
        note="Higher is sharper.",
        limit=limits.get("min_sharpness"),
    )
    yield histogram(
        "NIQE",
        [Series("", _values(faces, "niqe"))],
        unit="score",
        note="Lower is better (more natural).",
        limit=limits.get("max_niqe"),
    )
    yield histogram(
        "BRISQUE",
        [Series("", _values(faces, "brisque"))],
        unit="score",
        note="Lower is better (less distorted).",
        limit=limits.get("max_brisque"),
    )


def _degradations(storage: Storage) -> Iterator[Histogram | None]:
    """Histograms of the drawn thetas: of all blurs and noises, but only the last size and the last JPEG of each."""
    rows = storage.scan("samples", ("theta", "reject"))
    rows = rows.filter(pc.and_(pc.is_null(rows.column("reject")), pc.is_valid(rows.column("theta"))))
    drawn = [theta.from_json(text) for text in spread(rows.column("theta").to_pylist(), _MAX_THETAS)]
    size = pc.max(storage.scan("faces", ("crop_size",)).column("crop_size")).as_py() or 0
    blurs = {"Gaussian": Blur, "generalised": GeneralisedBlur, "plateau": PlateauBlur}
    for name, kind in blurs.items():
        sigmas = _array((op.sigma_x_px * op.sigma_y_px) ** 0.5 for op in _all(drawn, kind))
        yield histogram(f"Blur: {name}", [Series("", sigmas)], unit="sigma in px", note=_BLURRED)
    yield histogram(
        "Blur: motion", [Series("", _array(op.length_px for op in _all(drawn, MotionBlur)))], unit="px"
    )
    yield histogram(
        "Blur: sinc",
        [Series("", _array(op.cutoff_rad / math.pi for op in _all(drawn, SincBlur)))],
        unit="cutoff, of Nyquist",
        digits=2,
    )
    sizes = [next((op.out_w for op in reversed(one) if isinstance(op, Resize)), size) for one in drawn]
    yield histogram(
        "Reduction",
        [Series("", _array(size / side for side in sizes))],
        unit="factor",
        note="Side of the ground truth divided by the side of the stored degraded face.",
    )
    yield histogram(
        "Noise: Gaussian",
        [Series("", _array(op.sigma for op in _all(drawn, Noise)))],
        unit="sigma, on the scale 0 to 255",
    )
    yield histogram(
        "Noise: shot",
        [Series("", _array(op.scale for op in _all(drawn, PoissonNoise)))],
        unit="times the noise of 256 photons",
    )
    last = (next((op.quality for op in reversed(one) if isinstance(op, Jpeg)), None) for one in drawn)
    yield histogram(
        "JPEG quality",
        [Series("", _array(quality for quality in last if quality is not None))],
        unit="of 100",
        note="Of the last JPEG of each sample.",
        digits=0,
    )


def _all(drawn: list[Theta], kind: type[Any]) -> Iterator[Any]:
    return (op for one in drawn for op in one if isinstance(op, kind))


def _values(table: pa.Table, column: str) -> Float64s:
    return np.asarray(table.column(column).to_numpy(), np.float64)


def _array(values: Iterable[float]) -> Float64s:
    return np.fromiter(values, np.float64)
