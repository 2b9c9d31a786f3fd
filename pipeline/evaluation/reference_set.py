"""The images that FID compares with: those of a folder, or the ground truths of a set."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facerefs.pipeline import text
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.figures import score_images
from facerefs.pipeline.evaluation.judges.cache import FigureCache, digest_of
from facerefs.pipeline.evaluation.judges.networks import INCEPTION, Judges
from facerefs.pipeline.evaluation.methods.folder import photos_in, read_output
from facerefs.pipeline.evaluation.methods.method import Outputs
from facerefs.schemas.file_names import BUILD_FILE
from facerefs.schemas.manifest import MANIFEST_FILE
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.training_set import open_set

_IMAGE = "image"


def reference_features(
    place: str | None, judges: Judges, cache: FigureCache, device: torch.device
) -> tuple[Tensor | None, str]:
    """Inception features (N, 2048) of a reference set, and what it is; None without one, or without Inception."""
    if place is None or INCEPTION not in judges.images:
        return None, ""
    found = []
    for pixels in _images(place):
        image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
        column = {_IMAGE: Outputs(image, torch.ones(1, dtype=torch.bool))}
        points, digests = {_IMAGE: torch.zeros(1, 68, 2)}, {_IMAGE: [digest_of(image[0])]}
        found.append(score_images(judges.images[INCEPTION], cache, device, column, points, digests)[_IMAGE])
    return torch.cat(found), f"{text.plural(len(found), 'image')} of {place}"


def _images(place: str) -> "Iterator[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]":
    folder = Path(place).expanduser()
    is_set = "://" in place or any(
        (folder / name).exists() for name in (BUILD_FILE, MANIFEST_FILE, f"samples/{MANIFEST_FILE}")
    )
    if not is_set:
        for path in photos_in(folder):
            yield read_output(path).pixels
        return
    try:
        samples = open_set(place).samples()
        for number in range(len(samples)):
            yield samples[number].target.image
    except StreamError as error:
        raise UserError(f"--reference-set {place} cannot be used: {error}") from None
