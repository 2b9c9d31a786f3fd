"""`facerefs restore`: restore the faces of whole photos with a trained model, and reference photos if it uses them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.files import RestoreFiles, RestorePlan, describe_skipped, plan_files
from facerefs.pipeline.restoring.matching.reference_photos import reference_photos
from facerefs.pipeline.restoring.options import RestoreOptions
from facerefs.pipeline.restoring.progress import RestoreProgress
from facerefs.pipeline.restoring.result import Restoration, RestoredPhoto, RestoreError
from facerefs.pipeline.restoring.writing.records import RecordFile

if TYPE_CHECKING:
    from facerefs.pipeline.restoring.photo_writer import PhotoWriter
    from facerefs.pipeline.restoring.whole import PhotoRestorer


@dataclass
class _Outcome:
    photos: list[RestoredPhoto] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def restore_command(options: RestoreOptions, console: Console) -> Restoration:
    """Restore each photo, print the output paths, warnings and, in the last line, counts. Returns what was done.

    Raises UserError for options that do not fit, and if a photo could not be restored; RestoreError if it was one of
    several.
    """
    _ = options.choice  # its mistakes come before any work
    people = reference_photos(options.references)
    references = [photo for photos in people.values() for photo in photos]
    plan = plan_files(options.sources, options.out, options.wanted, references, options.existing)
    if plan.skipped:
        console.print(f"skipped     {describe_skipped(plan.skipped)}", highlight=False)
    outcome = _Outcome()
    if plan.files:
        _restore_all(options, plan, people, outcome, console)
    skipped = [path for paths in plan.skipped.values() for path in paths]
    result = Restoration(outcome.photos, outcome.left_out, skipped, plan.done, outcome.notes)
    console.print(result.summary, highlight=False)
    if outcome.left_out:
        raise RestoreError(
            f"{len(outcome.left_out)} of {len(plan.files)} photos could not be restored", result
        )
    return result


def _restore_all(
    options: RestoreOptions,
    plan: RestorePlan,
    people: dict[str, list[Path]],
    outcome: _Outcome,
    console: Console,
) -> None:
    """Restore the photos, and add each to the outcome. Raises UserError, RunError."""
    from facerefs.pipeline.restoring.photo_writer import PhotoWriter
    from facerefs.pipeline.restoring.whole import load_photo_restorer
    from facerefs.stages.engines.engine import MissingWeights
    from facerefs.trainers.loop.checkpoint import CheckpointError

    records = RecordFile(plan.folder, [one.photo for one in plan.files])
    restorer = load_photo_restorer(
        options.run, options.blind, options.landmarks, options.engines, options.device, bool(people)
    )
    _check(options, restorer, sum(map(len, people.values())))
    try:
        known = restorer.people(people)
        if options.person is not None:
            known.named(options.person)
        outcome.notes += [*restorer.run.notes, *_unused(options, restorer), *known.notes]
        for note in outcome.notes:
            console.print(f"note        {note}", highlight=False)
        references = [path for photos in people.values() for path in photos]
        reserved = frozenset(path.resolve() for path in (*_inputs(plan), *references))
        writer = PhotoWriter(restorer, known, options, reserved)
        _restore_each(writer, records, plan, outcome, console)
    except (CheckpointError, MissingWeights) as error:  # some weights are loaded only when first needed
        raise UserError(str(error)) from None


def _inputs(plan: RestorePlan) -> list[Path]:
    return [path for files in plan.files for path in (files.photo, *files.made)]


def _restore_each(
    writer: "PhotoWriter", records: RecordFile, plan: RestorePlan, outcome: _Outcome, console: Console
) -> None:
    progress = RestoreProgress(len(plan.files), lambda line: console.print(line, highlight=False))
    for files in plan.files:
        try:
            made = writer.restore(files)
        except UserError as error:
            if plan.single:
                raise
            console.print(f"left out    {error}", highlight=False)
            outcome.left_out[files.photo] = str(error)
        else:
            records.add(made.faces)
            outcome.photos.append(made)
            _print(made, files, console)
        progress.add()


def _print(made: RestoredPhoto, files: RestoreFiles, console: Console) -> None:
    for path in made.files:
        console.print(f"restored    {path}", highlight=False)
    for face in made.faces:
        if face.left and face.left_kind != "not asked for":
            console.print(f"left        {files.photo}: face {face.face}: {face.left}", highlight=False)
        elif face.person is not None and not face.left:
            by = "" if face.reference is None else f", with {face.reference}"
            console.print(
                f"face        {files.photo}: face {face.face} is {face.person}, similarity {face.similarity:.3f}{by}",
                highlight=False,
            )
    for label, texts in (("warning", made.warnings), ("note", made.notes)):
        for text in texts:
            console.print(f"{label:<11} {made.photo}: {text}", highlight=False)


def _unused(options: RestoreOptions, restorer: "PhotoRestorer") -> Sequence[str]:
    """What the model does not use of references and options."""
    run = restorer.run
    aligned = {"--sheet": options.sheet, "--crops": options.crops, "--frames": options.frames}
    notes = [
        f"{what} is not used with --aligned" for what, is_so in aligned.items() if is_so and options.aligned
    ]
    if run.wanted:
        return notes
    vain = {
        "--reference is not used, except to say who is who": bool(options.references),
        "--landmarks is not used": run.finder is not None,
        "--blind is not used": options.blind is not None,
    }
    return [
        *notes,
        *(f"{run.name} restores without a reference: {what}" for what, is_so in vain.items() if is_so),
    ]


def _check(options: RestoreOptions, restorer: "PhotoRestorer", given: int) -> None:
    """Raise UserError if the options do not fit the model."""
    run, wanted = restorer.run, restorer.run.wanted
    if given < wanted and restorer.blind is None:
        photos = "a good photo" if wanted == 1 else f"{wanted} good photos"
        raise UserError(
            f"a run of {run.name} wants {photos} of the person, and has {given}: add --reference PHOTO, or "
            "--blind RUN for faces without one"
        )
    if options.outputs > 1 and not run.model.stochastic:
        raise UserError(f"a run of {run.name} always gives the same face: leave out --outputs")
