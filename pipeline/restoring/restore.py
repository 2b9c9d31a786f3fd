"""`facerefs restore`: restore faces with a trained model, with reference photos if the model uses them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.files import RestoreFiles, plan_files

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from facerefs.pipeline.restoring.aligned_faces import Engines
    from facerefs.trainers.identity.embedder import IdentityEmbedder
    from facerefs.trainers.models.model import LandmarkModel, Restorer
    from facerefs.trainers.models.run import Run
    from facerefs.trainers.restore import AlignedFace

_REFERENCE_PX = 512


@dataclass(frozen=True)
class RestoreOptions:
    """The options of `facerefs restore`, not yet checked."""

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


def restore_command(options: RestoreOptions, console: Console) -> tuple[Path, ...]:
    """Restore each face and print the output paths. Returns the files that were written.

    Raises UserError for options that do not fit, and if a photo could not be restored.
    """
    import torch

    from facerefs.pipeline.training.job import chosen_device
    from facerefs.stages.engines.engine import MissingWeights
    from facerefs.trainers.loop.checkpoint import CheckpointError

    photos = plan_files(options.source, options.out, options.outputs, options.pictures, options.references)
    device = torch.device(chosen_device(options.device))
    try:
        work = _load_work(options, device)
        for note in work.notes(len(options.references)):
            console.print(f"note        {note}", highlight=False)
        made = [_restore(work, files, options, len(photos) == 1, console) for files in photos]
    except (CheckpointError, MissingWeights) as error:  # some weights are loaded only when first needed
        raise UserError(str(error)) from None
    left_out = made.count(())
    if left_out:
        raise UserError(f"{left_out} of {len(photos)} photos could not be restored")
    return tuple(path for paths in made for path in paths)


def _restore(
    work: "_Work", files: RestoreFiles, options: RestoreOptions, alone: bool, console: Console
) -> tuple[Path, ...]:
    """Restore a photo, print and return the written files; empty if it failed and is not the only photo."""
    try:
        made = work.restore(files, options)
    except UserError as error:
        if alone:
            raise
        console.print(f"left out    {error}", highlight=False)
        return ()
    for path in made:
        console.print(f"restored    {path}", highlight=False)
    return made


@dataclass(frozen=True, eq=False)
class _Work:
    """The networks and engines of a restoration, and as many references as the model uses.

    embedder: embeds the references; None if the model needs no embedding.
    """

    model: "Restorer"
    trained: "Run"
    finder: "tuple[LandmarkModel, Run] | None"  # finds landmarks of degraded faces; None: those of the engine are used
    embedder: "IdentityEmbedder | None"
    engines: "Engines"
    references: "Sequence[AlignedFace]"
    device: "torch.device"

    def notes(self, references: int) -> list[str]:
        """Messages about references and options that the model does not use."""
        wanted = self.model.data.references
        if not wanted:
            vain = {"--reference": references > 0, "--landmarks": self.finder is not None}
            return [
                f"{self.trained.name} restores without a reference: {option} is not used"
                for option, given in vain.items()
                if given
            ]
        if references <= wanted:
            return []
        first = "the first is used" if wanted == 1 else f"the first {wanted} are used"
        return [f"{self.trained.name} takes {wanted} of the {references} references: {first}"]

    def restore(self, files: RestoreFiles, options: RestoreOptions) -> tuple[Path, ...]:
        """Write the restored faces of a photo or of an aligned crop. Returns the written files."""
        from PIL import Image

        from facerefs.trainers.restore import pictured, pixels_of, restored, restorer_input_of

        way_out = "; if it is an aligned face, add --aligned"
        engines, model, networks = self.engines, self.model, self.trained.networks
        photo, size_px = files.photo, model.size_px
        face = engines.as_it_is(photo) if options.aligned else engines.aligned(photo, size_px, way_out)
        try:
            seen = restorer_input_of(
                model, self.embedder, face.image, self._points_of(face), self.references, self.device
            )
        except ValueError as error:
            raise UserError(f"{photo}: {error}") from None
        outputs = []
        files.outputs[0].parent.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(files.outputs):
            outputs.append(restored(model, networks, seen, options.seed, number))
            Image.fromarray(pixels_of(outputs[-1])).save(path)
        if files.pictures is not None:
            pictured(model, networks, seen, outputs, options.seed).save(files.pictures)
        return files.made

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


def _load_work(options: RestoreOptions, device: "torch.device") -> _Work:
    """Load the model, engines and references of the options. Raises UserError, CheckpointError, MissingWeights."""
    from facerefs.pipeline.restoring.aligned_faces import load_engines
    from facerefs.trainers.identity.embedder import load_embedder
    from facerefs.trainers.models.model import Restorer
    from facerefs.trainers.models.run import load_run

    trained = load_run(options.run, device)
    model = trained.model
    if not isinstance(model, Restorer):
        raise UserError(f"a run of {trained.name} restores no faces: `facerefs models` lists those that do")
    _check(options, trained.name, model)
    finder = None if options.landmarks is None else _finder_of(options.landmarks, device)
    engines = load_engines(options.engines, device.type)
    embedder = load_embedder(model.identity, device) if model.identity and model.data.references else None
    side_px = max(_REFERENCE_PX, model.size_px)
    references = [engines.aligned(path, side_px) for path in options.references[: model.data.references]]
    return _Work(model, trained, finder, embedder, engines, references, device)


def _check(options: RestoreOptions, name: str, model: "Restorer") -> None:
    """Raise UserError if the options do not fit the model."""
    wanted, given = model.data.references, len(options.references)
    if given < wanted:
        photos = "a good photo" if wanted == 1 else f"{wanted} good photos"
        raise UserError(
            f"a run of {name} wants {photos} of the person, and has {given}: add --reference PHOTO"
        )
    if options.outputs > 1 and not model.stochastic:
        raise UserError(f"a run of {name} always gives the same face: leave out --outputs")


def _finder_of(folder: Path, device: "torch.device") -> "tuple[LandmarkModel, Run]":
    from facerefs.trainers.models.model import LandmarkModel
    from facerefs.trainers.models.run import load_run

    finder = load_run(folder, device)
    if not isinstance(finder.model, LandmarkModel):
        raise UserError(f"--landmarks wants a run of facerefs train landmarks, not of {finder.name}")
    return finder.model, finder
