"""A trained restorer, ready to restore aligned faces."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facerefs.pipeline.errors import UserError
from facerefs.schemas.arrays import UInt8Image

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

    from facerefs.trainers.identity.embedder import IdentityEmbedder
    from facerefs.trainers.models.model import LandmarkModel, Restorer
    from facerefs.trainers.models.run import Run
    from facerefs.trainers.restore import AlignedFace


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """The networks of a run of `facerefs train`.

    finder: finds the landmarks of degraded faces; None: those of the engine are used. embedder: the model's, of the
    references; None if it needs no embedding. notes: where landmarks and masks come from.
    """

    model: "Restorer"
    trained: "Run"
    finder: "tuple[LandmarkModel, Run] | None"
    embedder: "IdentityEmbedder | None"
    device: "torch.device"
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.trained.name

    @property
    def size_px(self) -> int:
        """The side of the faces that it restores."""
        return self.model.size_px

    @property
    def wanted(self) -> int:
        """How many references it takes; 0 if it is blind."""
        return self.model.data.references

    def restore(
        self,
        face: "AlignedFace",
        references: "Sequence[AlignedFace]",
        outputs: int,
        seed: int,
        pictures: bool,
    ) -> "tuple[tuple[UInt8Image, ...], Image | None]":
        """The restored faces uint8 (S, S, 3), one per output, and the pictures of the model's work if asked for.

        Raises ValueError if the face is not square or there are fewer references than the model takes.
        """
        from facerefs.trainers.restore import pictured, pixels_of, restored, restorer_input_of

        model, networks = self.model, self.trained.networks
        seen = restorer_input_of(
            model, self.embedder, face.image, self._points_of(face), references, self.device
        )
        made = [restored(model, networks, seen, seed, number) for number in range(outputs)]
        sheet = pictured(model, networks, seen, made, seed) if pictures else None
        return tuple(map(pixels_of, made)), sheet

    def _points_of(self, face: "AlignedFace") -> "Callable[[Tensor], Tensor]":
        """A function for the landmarks of the degraded face: of the trained network if given, else of the engine."""
        import torch

        from facerefs.trainers.models.landmarks import find_landmarks

        if self.finder is not None:
            model, run = self.finder
            return lambda degraded: find_landmarks(model, run.networks, degraded)
        scale = self.model.size_px / face.image.shape[0]
        points = torch.from_numpy((face.landmarks + 0.5) * scale - 0.5).float()[None]
        return lambda degraded: points.to(degraded.device)


def load_restorer(folder: Path, landmarks: Path | None, engine: str, device: "torch.device") -> LoadedRun:
    """The restorer of a run. landmarks: a run that finds landmarks; engine: the name of the landmark engine.

    Raises UserError, CheckpointError, MissingWeights.
    """
    from facerefs.trainers.identity.embedder import load_embedder
    from facerefs.trainers.models.model import Restorer
    from facerefs.trainers.models.run import load_run

    trained = load_run(folder, device)
    model = trained.model
    if not isinstance(model, Restorer):
        raise UserError(f"a run of {trained.name} restores no faces: `facerefs models` lists those that do")
    chosen = _landmark_run_of(landmarks, model)
    finder = None if chosen is None else _finder_of(chosen, device)
    embedder = load_embedder(model.identity, device) if model.identity and model.data.references else None
    notes = (_landmarks_note(chosen, model, engine), _mask_note(model, device))
    return LoadedRun(model, trained, finder, embedder, device, tuple(filter(None, notes)))


def _landmark_run_of(asked: Path | None, model: "Restorer") -> Path | None:
    """The run that finds the landmarks: the one that was asked for, else the one of the training, if it is there."""
    from facerefs.trainers.loop.checkpoint import checkpoints
    from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER
    from facerefs.trainers.models.model import WarpingRestorer

    if asked is not None or not isinstance(model, WarpingRestorer) or model.landmark_run is None:
        return asked
    folder = Path(model.landmark_run)
    return folder if checkpoints(folder / CHECKPOINTS_FOLDER) else None


def _landmarks_note(chosen: Path | None, model: "Restorer", engine: str) -> str:
    from facerefs.trainers.models.model import WarpingRestorer

    if not isinstance(model, WarpingRestorer):
        return ""
    if chosen is not None:
        return f"landmarks of degraded faces: detector, the run {chosen}"
    told = f"landmarks of degraded faces: the engine {engine}"
    if model.landmark_run is None:
        return told
    return f"{told}; the run of training, {model.landmark_run}, is not there: add --landmarks with its folder"


def _mask_note(model: "Restorer", device: "torch.device") -> str:
    from facerefs.trainers.models.model import MaskingRestorer

    return model.mask_note(device) if isinstance(model, MaskingRestorer) else ""


def _finder_of(folder: Path, device: "torch.device") -> "tuple[LandmarkModel, Run]":
    from facerefs.trainers.models.model import LandmarkModel
    from facerefs.trainers.models.run import load_run

    finder = load_run(folder, device)
    if not isinstance(finder.model, LandmarkModel):
        raise UserError(f"--landmarks wants a run of facerefs train landmarks, not of {finder.name}")
    return finder.model, finder
