"""`facerefs restore`: a trained model, and photos of the person if it looks at any, in; restored faces out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.files import Files, files_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from facerefs.pipeline.restoring.aligned_faces import Engines
    from facerefs.trainers.identity.embedder import Embedder
    from facerefs.trainers.models.model import Landmarker, Restorer
    from facerefs.trainers.models.run import Run
    from facerefs.trainers.restore import AlignedFace

_REFERENCE_PX = 512


@dataclass(frozen=True)
class Words:
    """What the user said."""

    run: Path
    source: Path
    out: Path
    references: tuple[Path, ...] = ()
    landmarks: Path | None = None
    aligned: bool = False
    engines: str = "embedded"
    device: str | None = None
    outputs: int = 1
    seed: int = 0
    pictures: bool = False


def restore_command(words: Words) -> None:
    """Check every word of the user, then restore each face and say where it went."""
    import torch

    from facerefs.pipeline.training.job import chosen_device
    from facerefs.stages.engines.engine import MissingWeights
    from facerefs.trainers.loop.checkpoint import CheckpointError

    console = Console(soft_wrap=True, markup=False)
    photos = files_of(words.source, words.out, words.outputs, words.pictures, words.references)
    device = torch.device(chosen_device(words.device))
    try:
        work = _work_of(words, device)
        for note in work.notes(len(words.references)):
            console.print(f"note        {note}", highlight=False)
        left_out = sum([not _restored(work, files, words, len(photos) == 1, console) for files in photos])
    except (CheckpointError, MissingWeights) as error:  # some weights are loaded when a face wants them first
        raise UserError(str(error)) from None
    if left_out:
        raise UserError(f"{left_out} of {len(photos)} photos could not be restored")


def _restored(work: "_Work", files: Files, words: Words, alone: bool, console: Console) -> bool:
    """Restore a photo and say where it went. Of several, one that cannot be is told and left out."""
    try:
        made = work.restore(files, words)
    except UserError as error:
        if alone:
            raise
        console.print(f"left out    {error}", highlight=False)
        return False
    for path in made:
        console.print(f"restored    {path}", highlight=False)
    return True


@dataclass(frozen=True, eq=False)
class _Work:
    """The networks and engines that a restoration takes, and the references: as many as the model looks at.

    embedder: of the references; None if there is none.
    """

    model: "Restorer"
    trained: "Run"
    finder: "tuple[Landmarker, Run] | None"  # of the landmarks of degraded faces; None takes the engine's
    embedder: "Embedder | None"
    engines: "Engines"
    references: "Sequence[AlignedFace]"
    device: "torch.device"

    def notes(self, references: int) -> list[str]:
        """What the user gave in vain."""
        wanted = self.model.data.references
        if not wanted:
            vain = {"--reference": references > 0, "--landmarks": self.finder is not None}
            return [
                f"{self.trained.name} restores without a reference: {word} is not used"
                for word, given in vain.items()
                if given
            ]
        if references <= wanted:
            return []
        first = "the first is used" if wanted == 1 else f"the first {wanted} are used"
        return [f"{self.trained.name} takes {wanted} of the {references} references: {first}"]

    def restore(self, files: Files, words: Words) -> tuple[Path, ...]:
        """Write the restored faces of a photo, or of an aligned crop; says where."""
        from PIL import Image

        from facerefs.trainers.restore import pictured, pixels_of, restored, seen_by

        way_out = "; if it is an aligned face, add --aligned"
        engines, model, networks = self.engines, self.model, self.trained.networks
        photo, size_px = files.photo, model.size_px
        face = engines.as_it_is(photo) if words.aligned else engines.aligned(photo, size_px, way_out)
        try:
            seen = seen_by(
                model, self.embedder, face.image, self._points_of(face), self.references, self.device
            )
        except ValueError as error:
            raise UserError(f"{photo}: {error}") from None
        outputs = []
        files.outputs[0].parent.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(files.outputs):
            outputs.append(restored(model, networks, seen, words.seed, number))
            Image.fromarray(pixels_of(outputs[-1])).save(path)
        if files.pictures is not None:
            pictured(model, networks, seen, outputs, words.seed).save(files.pictures)
        return files.made

    def _points_of(self, face: "AlignedFace") -> "Callable[[Tensor], Tensor]":
        """Finds the landmarks of the degraded face: by a trained network if one was given, else by the engine."""
        import torch

        from facerefs.trainers.models.landmarks import find_landmarks

        if self.finder is not None:
            model, run = self.finder
            return lambda degraded: find_landmarks(model, run.networks, degraded)
        scale = self.model.size_px / face.image.shape[0]
        points = torch.from_numpy((face.landmarks + 0.5) * scale - 0.5).float()[None]
        return lambda degraded: points.to(degraded.device)


def _work_of(words: Words, device: "torch.device") -> _Work:
    """Load all that the user named. Raises UserError, CheckpointError, MissingWeights."""
    from facerefs.pipeline.restoring.aligned_faces import load_engines
    from facerefs.trainers.identity.embedder import load_embedder
    from facerefs.trainers.models.model import Restorer
    from facerefs.trainers.models.run import load_run

    trained = load_run(words.run, device)
    model = trained.model
    if not isinstance(model, Restorer):
        raise UserError(f"a run of {trained.name} restores no faces: facerefs models says which do")
    _check(words, trained.name, model)
    finder = None if words.landmarks is None else _finder_of(words.landmarks, device)
    engines = load_engines(words.engines, device.type)
    embedder = load_embedder(model.identity, device) if model.identity and model.data.references else None
    side_px = max(_REFERENCE_PX, model.size_px)
    references = [engines.aligned(path, side_px) for path in words.references[: model.data.references]]
    return _Work(model, trained, finder, embedder, engines, references, device)


def _check(words: Words, name: str, model: "Restorer") -> None:
    """Raise UserError if the model cannot do what the user asked of it."""
    wanted, given = model.data.references, len(words.references)
    if given < wanted:
        photos = "a good photo" if wanted == 1 else f"{wanted} good photos"
        raise UserError(
            f"a run of {name} wants {photos} of the person, and has {given}: add --reference PHOTO"
        )
    if words.outputs > 1 and not model.stochastic:
        raise UserError(f"a run of {name} makes the same face each time: leave out --outputs")


def _finder_of(folder: Path, device: "torch.device") -> "tuple[Landmarker, Run]":
    from facerefs.trainers.models.model import Landmarker
    from facerefs.trainers.models.run import load_run

    finder = load_run(folder, device)
    if not isinstance(finder.model, Landmarker):
        raise UserError(f"--landmarks wants a run of facerefs train landmarks, not of {finder.name}")
    return finder.model, finder
