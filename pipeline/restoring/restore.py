"""`facerefs restore`: restore faces with a trained model, with reference photos if the model uses them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.files import Existing, RestoreFiles, describe_skipped, plan_files
from facerefs.pipeline.restoring.output_file import holds_alpha, write_face, write_image
from facerefs.pipeline.restoring.photo import read_photo
from facerefs.pipeline.restoring.result import Restoration, RestoredPhoto, RestoreError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from facerefs.pipeline.restoring.find_faces import Engines, PhotoFaces
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
    overwrite: bool = False
    resume: bool = False

    @property
    def existing(self) -> Existing:
        """What happens to outputs that are there already. Raises UserError if both are asked for."""
        if self.overwrite and self.resume:
            raise UserError("--overwrite and --resume exclude each other: choose one")
        return "overwrite" if self.overwrite else "resume" if self.resume else "refuse"


def restore_command(options: RestoreOptions, console: Console) -> Restoration:
    """Restore each face, print the output paths, warnings and, in the last line, counts. Returns what was done.

    Raises UserError for options that do not fit, and if a photo could not be restored; RestoreError if it was one of
    several.
    """
    plan = plan_files(
        options.source, options.out, options.outputs, options.pictures, options.references, options.existing
    )
    if plan.skipped:
        console.print(f"skipped     {describe_skipped(plan.skipped)}", highlight=False)
    photos: list[RestoredPhoto] = []
    left_out: dict[Path, str] = {}
    notes: list[str] = []
    if plan.files:
        notes = _restore_all(options, plan.files, photos, left_out, console)
    skipped = [path for paths in plan.skipped.values() for path in paths]
    result = Restoration(photos, left_out, skipped, plan.done, notes)
    console.print(result.summary, highlight=False)
    if left_out:
        raise RestoreError(f"{len(left_out)} of {len(plan.files)} photos could not be restored", result)
    return result


def _restore_all(
    options: RestoreOptions,
    plan: Sequence[RestoreFiles],
    photos: list[RestoredPhoto],
    left_out: dict[Path, str],
    console: Console,
) -> list[str]:
    """Restore the photos, and add each to `photos` or to `left_out`. Returns notes on references and options."""
    import torch

    from facerefs.pipeline.training.job import chosen_device
    from facerefs.stages.engines.engine import MissingWeights
    from facerefs.trainers.loop.checkpoint import CheckpointError

    try:
        work = _load_work(options, torch.device(chosen_device(options.device)))
        for note in work.notes:
            console.print(f"note        {note}", highlight=False)
        for files in plan:
            _restore(work, files, options, photos, left_out, console)
    except (CheckpointError, MissingWeights) as error:  # some weights are loaded only when first needed
        raise UserError(str(error)) from None
    return work.notes


def _restore(
    work: "_Work",
    files: RestoreFiles,
    options: RestoreOptions,
    photos: list[RestoredPhoto],
    left_out: dict[Path, str],
    console: Console,
) -> None:
    """Restore a photo, print the written files and warnings. Raises UserError if it failed and is the only photo."""
    try:
        made = work.restore(files, options)
    except UserError as error:
        if options.source.is_file():
            raise
        console.print(f"left out    {error}", highlight=False)
        left_out[files.photo] = str(error)
        return
    photos.append(made)
    for path in made.files:
        console.print(f"restored    {path}", highlight=False)
    for label, texts in (("warning", made.warnings), ("note", made.notes)):
        for text in texts:
            console.print(f"{label:<11} {made.photo}: {text}", highlight=False)


@dataclass(frozen=True, eq=False)
class _Chosen:
    """The face to restore of a photo, and the faces of its references."""

    face: int
    references: "Sequence[AlignedFace]"
    similarities: tuple[float, ...]
    warnings: Sequence[str]


@dataclass(frozen=True, eq=False)
class _Work:
    """The networks and engines of a restoration, and the reference photos.

    embedder: the model's, of the references; None if the model needs no embedding.
    """

    model: "Restorer"
    trained: "Run"
    finder: "tuple[LandmarkModel, Run] | None"  # finds landmarks of degraded faces; None: those of the engine are used
    embedder: "IdentityEmbedder | None"
    engines: "Engines"
    references: Sequence[Path]
    device: "torch.device"
    engine_notes: Sequence[
        str
    ]  # where landmarks of degraded faces and masks come from, if the model uses them

    @cached_property
    def notes(self) -> list[str]:
        """Where landmarks and masks come from, and what the model does not use of references and options."""
        return [*self.engine_notes, *self._unused]

    @cached_property
    def _unused(self) -> list[str]:
        wanted, given = self.model.data.references, len(self.references)
        name = self.trained.name
        if not wanted:
            vain = {
                "--reference is not used, except to choose among several faces of a photo": given > 0,
                "--landmarks is not used": self.finder is not None,
            }
            return [f"{name} restores without a reference: {what}" for what, is_so in vain.items() if is_so]
        if given <= wanted:
            return []
        first = "the first is used" if wanted == 1 else f"the first {wanted} are used"
        return [
            f"{name} takes {wanted} of the {given} references: {first}; the others only help to tell faces apart",
            *self._extra_references[1],
        ]

    @cached_property
    def shown_references(self) -> "list[PhotoFaces]":
        """The faces of the references, first of those that the model uses. Raises UserError."""
        wanted = self.model.data.references or len(self.references)
        used = [self.engines.faces_of(read_photo(path)) for path in self.references[:wanted]]
        return [*used, *self._extra_references[0]]

    @cached_property
    def _extra_references(self) -> "tuple[list[PhotoFaces], list[str]]":
        """The faces of references that the model does not use, and why others of them show none."""
        wanted, faces, notes = self.model.data.references, [], []
        for path in self.references[wanted:] if wanted else ():
            try:
                faces.append(self.engines.faces_of(read_photo(path)))
            except UserError as error:
                notes.append(f"a reference does not even do that: {error}")
        return faces, notes

    def restore(self, files: RestoreFiles, options: RestoreOptions) -> RestoredPhoto:
        """Write the restored faces of a photo or of an aligned crop. Raises UserError if there is no face."""
        from facerefs.trainers.restore import pictured, pixels_of, restored, restorer_input_of

        way_out = "; if it is an aligned face, add --aligned"
        engines, model, networks = self.engines, self.model, self.trained.networks
        photo = read_photo(files.photo)
        faces = engines.aligned_face(photo) if options.aligned else engines.faces_of(photo, way_out)
        chosen = self._chosen(faces)
        face = faces.aligned(chosen.face, model.size_px)
        try:
            seen = restorer_input_of(
                model, self.embedder, face.image, self._points_of(face), chosen.references, self.device
            )
        except ValueError as error:
            raise UserError(f"{files.photo}: {error}") from None
        alpha = faces.aligned_alpha(chosen.face, model.size_px)
        outputs = []
        for number, path in enumerate(files.outputs):
            outputs.append(restored(model, networks, seen, options.seed, number))
            write_face(pixels_of(outputs[-1]), alpha, path)
        if files.pictures is not None:
            write_image(pictured(model, networks, seen, outputs, options.seed), files.pictures)
        warnings = [*faces.warnings, *chosen.warnings]
        if alpha is not None and not holds_alpha(files.outputs[0]):
            warnings.append("its transparency is lost, since JPEG holds none: what was transparent is white")
        return RestoredPhoto(
            files.photo, files.made, len(faces), chosen.similarities, tuple(warnings), photo.notes
        )

    def _chosen(self, faces: "PhotoFaces") -> _Chosen:
        """The face most like the references, else the largest; a blind model looks at them only if it must choose."""
        from facerefs.pipeline.restoring.match_warnings import largest_of, match_warnings
        from facerefs.pipeline.restoring.same_person import match
        from facerefs.stages.engines.calibration import calibration_of
        from facerefs.stages.quality.quality import sharpness

        wanted, embedder = self.model.data.references, self.engines.embedder
        if embedder is None or not (wanted or len(faces) > 1):
            hint = "add --reference PHOTO of the person to choose another"
            return _Chosen(0, (), (), largest_of(faces, hint))
        references = self.shown_references
        found = match(faces.embeddings, [reference.embeddings for reference in references])
        side_px = max(_REFERENCE_PX, self.model.size_px)
        aligned = [
            reference.aligned(face, side_px)
            for reference, face in zip(references[:wanted], found.references, strict=False)
        ]
        sharp = sharpness(faces.aligned(found.face, _REFERENCE_PX).image)
        same = calibration_of(embedder.name).same
        return _Chosen(
            found.face, aligned, found.similarities, match_warnings(faces, references, found, same, sharp)
        )

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
    from facerefs.pipeline.restoring.find_faces import load_engines
    from facerefs.trainers.identity.embedder import load_embedder
    from facerefs.trainers.models.model import Restorer
    from facerefs.trainers.models.run import load_run

    trained = load_run(options.run, device)
    model = trained.model
    if not isinstance(model, Restorer):
        raise UserError(f"a run of {trained.name} restores no faces: `facerefs models` lists those that do")
    _check(options, trained.name, model)
    chosen = _landmark_run_of(options, model)
    finder = None if chosen is None else _finder_of(chosen, device)
    engines = load_engines(options.engines, device.type, compare=bool(options.references))
    notes = [_landmarks_note(chosen, model, engines.landmarker.name), _mask_note(model, device)]
    embedder = load_embedder(model.identity, device) if model.identity and model.data.references else None
    said = list(filter(None, notes))
    work = _Work(model, trained, finder, embedder, engines, options.references, device, said)
    if model.data.references:
        _ = (
            work.shown_references
        )  # so that a reference without a face ends the command before a photo is restored
    return work


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


def _landmark_run_of(options: RestoreOptions, model: "Restorer") -> Path | None:
    """The run that finds the landmarks: the one that was asked for, else the one of the training, if it is there."""
    from facerefs.trainers.loop.checkpoint import checkpoints
    from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER
    from facerefs.trainers.models.model import WarpingRestorer

    if options.landmarks is not None or not isinstance(model, WarpingRestorer) or model.landmark_run is None:
        return options.landmarks
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
