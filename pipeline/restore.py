"""`facerefs restore`: a trained model and photos of the person in, restored faces out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from pipeline.config import ENGINES
from pipeline.errors import UserError

if TYPE_CHECKING:
    import torch

    from stages.engines.engine import Detector, Landmarker
    from trainers.restore import AlignedFace
    from trainers.run import Run

Pixels = npt.NDArray[np.uint8]
_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif"}
_REFERENCE_PX = 512
_FACE_BOX = (0.19, 0.31, 0.79, 0.92)  # in FFHQ's crop: the median of dlib's boxes on 38 aligned photos


@dataclass(frozen=True, eq=False)
class _Engines:
    detector: "Detector"
    landmarker: "Landmarker"


def restore_command(
    run: Path,
    source: Path,
    references: Sequence[Path],
    out: Path,
    landmarks: Path | None,
    aligned: bool,
    engines: str,
    device: str | None,
) -> None:
    """Check every word of the user, then restore each face and say where it went."""
    import torch
    from PIL import Image

    from pipeline.job import chosen_device
    from stages.engines.engine import MissingWeights
    from trainers.loop.checkpoint import CheckpointError
    from trainers.run import load_run

    console = Console(soft_wrap=True, markup=False)
    inputs = list(_inputs(source, out))
    place = torch.device(chosen_device(device))
    try:
        trained = load_run(run, place)
        finder = None if landmarks is None else load_run(landmarks, place)
        restorer = _Restorer(trained, finder, _engines(engines, place.type), place)
    except (CheckpointError, MissingWeights) as error:
        raise UserError(str(error)) from None
    faces = [restorer.reference(_pixels(path), path) for path in references]
    for path, target in inputs:
        restored = restorer.restore(_pixels(path), path, faces, aligned)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(restored).save(target)
        console.print(f"restored    {target}", highlight=False)


class _Restorer:
    """The networks and engines that a restoration takes."""

    def __init__(
        self, trained: "Run", finder: "Run | None", engines: _Engines, device: "torch.device"
    ) -> None:
        from trainers.identity.embedder import load_embedder
        from trainers.models.model import Landmarker, Restorer

        if not isinstance(trained.model, Restorer):
            raise UserError(f"a run of {trained.name} restores no faces: give a run of facerefs train refine")
        if finder is not None and not isinstance(finder.model, Landmarker):
            raise UserError(f"--landmarks wants a run of facerefs train landmarks, not of {finder.name}")
        self._model, self._networks, self._finder = trained.model, trained.networks, finder
        self._engines, self._device = engines, device
        self._embedder = load_embedder(trained.model.identity, device) if trained.model.identity else None

    def reference(self, pixels: Pixels, path: Path) -> "AlignedFace":
        """The largest face of a photo, aligned."""
        return _aligned(pixels, path, self._engines, max(_REFERENCE_PX, self._model.size_px), "")

    def restore(
        self, pixels: Pixels, path: Path, references: Sequence["AlignedFace"], is_aligned: bool
    ) -> Pixels:
        """The restored face of a photo, or of an aligned crop."""
        from trainers.restore import AlignedFace, restore

        if is_aligned:
            face = AlignedFace(pixels, self._engine_points(pixels))
        else:
            face = _aligned(
                pixels, path, self._engines, self._model.size_px, "; if it is an aligned face, add --aligned"
            )
        try:
            return restore(
                self._model, self._networks, self._embedder, face.image, self._points_of(face), references
            )
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None

    def _points_of(self, face: "AlignedFace") -> Callable[[Any], Any]:
        """Finds the landmarks of the degraded face: by a trained network if one was given, else by the engine."""
        import torch

        from trainers.models.landmarks import find_landmarks
        from trainers.models.model import Landmarker

        if self._finder is not None:
            assert isinstance(self._finder.model, Landmarker)  # noqa: S101 (checked when it was loaded)
            model, networks = self._finder.model, self._finder.networks
            return lambda degraded: find_landmarks(model, networks, degraded)
        scale = self._model.size_px / face.image.shape[0]
        points = torch.from_numpy((face.landmarks + 0.5) * scale - 0.5).float()[None]
        return lambda degraded: points.to(degraded.device)

    def _engine_points(self, aligned: Pixels) -> npt.NDArray[np.float32]:
        box = np.array(_FACE_BOX, np.float32) * aligned.shape[0]
        return self._engines.landmarker.landmarks(aligned, box)


def _aligned(pixels: Pixels, path: Path, engines: _Engines, size_px: int, way_out: str) -> "AlignedFace":
    from stages import geometry
    from trainers.restore import AlignedFace

    found = engines.detector.detect(pixels)
    if not found:
        raise UserError(f"{engines.detector.name} finds no face in {path}{way_out}")
    points = engines.landmarker.landmarks(pixels, found[0].box, found[0].points)
    try:
        transform = geometry.ffhq_transform(points, size_px)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    crop = geometry.warp(pixels, transform, size_px).pixels
    return AlignedFace(crop, geometry.apply(transform, points).astype(np.float32))


def _engines(name: str, where: Any) -> _Engines:
    from stages.engines.load import load_detector, load_landmarker

    if name not in ENGINES:
        raise UserError(f"--engines cannot be {name!r}: choose {' or '.join(ENGINES)}")
    chosen: Any = ENGINES[name]
    return _Engines(
        load_detector(chosen["detector"], None, where, None, 0),
        load_landmarker(chosen["landmarks"], None, where),
    )


def _inputs(source: Path, out: Path) -> Iterator[tuple[Path, Path]]:
    """Each photo, and where its restored face goes."""
    if source.is_file():
        yield source, out if out.suffix.lower() in _ENDINGS else out / f"{source.stem}.png"
        return
    photos = sorted(path for path in source.glob("*") if path.suffix.lower() in _ENDINGS)
    if not photos:
        raise UserError(f"{source} is neither a photo nor a folder that holds some")
    if out.is_file():
        raise UserError(f"{out} is a file, and {source} is a folder: choose a folder for --out")
    for path in photos:
        yield path, out / f"{path.stem}.png"


def _pixels(path: Path) -> Pixels:
    from stages.decode import DecodeError, DecodeLimits, decode

    try:
        return decode(path.read_bytes(), DecodeLimits(min_side_px=16)).pixels
    except (DecodeError, OSError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
