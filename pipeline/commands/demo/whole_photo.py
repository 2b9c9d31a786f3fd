"""The end of the demo: a photo of somebody whom training never saw, degraded as a whole, and restored."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.report.sections.training import WHOLE_PHOTO_SHEET
from facerefs.pipeline.restoring.options import RestoreOptions
from facerefs.pipeline.restoring.restore import restore_command
from facerefs.pipeline.restoring.result import Restoration
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.operations import Resize

_TRIED = 8


@dataclass(frozen=True)
class _Pair:
    """A photo and one of its references, and the width of its aligned square in pixels of the photo."""

    photo: Path
    reference: Path
    face_px: float


def restore_a_photo(storage: Storage, run: Path, size_px: int, factor: int, console: Console) -> Path | None:
    """The restored photo, whose face had size_px / factor pixels; None, with a sentence, if no face was found.

    In so blurred a photo not every face is found: the photos of held-out people are tried one after the other.
    """
    sheet = run / WHOLE_PHOTO_SHEET
    folder = sheet.parent
    folder.mkdir(parents=True, exist_ok=True)
    degraded, restored = folder / "degraded.png", folder / "restored.png"
    reasons = []
    for pair in islice(_held_out(storage), _TRIED):
        with Image.open(pair.photo) as photo:
            pixels = np.asarray(photo.convert("RGB"))
        Image.fromarray(_reduced_and_back(pixels, factor * pair.face_px / size_px)).save(degraded)
        options = RestoreOptions(
            run=run, sources=(degraded,), out=restored, references=(pair.reference,), sheet=True,
            faces="largest", overwrite=True,
        )  # fmt: skip
        try:
            result = restore_command(options, console)
        except UserError as error:
            reasons.append(str(error))
            continue
        if _is_restored(result):
            return restored
        reasons.append("the face was left, or was found only with the photo turned")
    for path in (restored, sheet):  # the report must not show what went wrong
        path.unlink(missing_ok=True)
    console.print(
        f"whole photo none of {len(reasons)} photos of held-out people could be restored: {'; '.join(reasons[:1])}",
        highlight=False,
    )
    return None


def _is_restored(result: Restoration) -> bool:
    """Whether a face was restored, and found in the photo as it is: those of the demo are upright."""
    turned = any("was turned" in warning for photo in result.photos for warning in photo.warnings)
    return not turned and any(face.left is None for photo in result.photos for face in photo.faces)


def _held_out(storage: Storage) -> Iterator[_Pair]:
    """Photos of people who are not in train, the most frontal faces first: blurred, they are found best."""
    samples = storage.scan("samples", ("key", "split", "reject")).to_pylist()
    held_out = {row["key"] for row in samples if row["reject"] is None and row["split"] != "train"}
    faces = {row["id"]: row for row in storage.scan("faces", ("id", "key", "face_px", "yaw")).to_pylist()}
    paths = {row["key"]: row["photo"] for row in storage.scan("sources", ("key", "photo")).to_pylist()}
    pairs = storage.scan("pairs", ("target", "reference", "reject")).to_pylist()
    pairs = [row for row in pairs if row["reject"] is None and row["target"] in held_out]
    for row in sorted(pairs, key=lambda row: (abs(faces[row["target"]]["yaw"]), row["target"])):
        target, reference = faces[row["target"]], faces[row["reference"]]
        yield _Pair(
            Path(paths[target["key"]]["path"]),
            Path(paths[reference["key"]]["path"]),
            float(target["face_px"]),
        )


def _reduced_and_back(pixels: UInt8Image, factor: float) -> UInt8Image:
    """The photo reduced by the operation of theta with which the model was trained, and enlarged to its own size."""
    import torch

    from facerefs.stages.degrade.apply_theta import degrade_exactly

    height, width = pixels.shape[:2]
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].double() / 255
    theta = (Resize(round(width / factor), round(height / factor), "bicubic_antialias"),)
    (small,) = degrade_exactly(image, [theta])
    return np.asarray(Image.fromarray(small.image).resize((width, height), Image.Resampling.BICUBIC))
