"""The pipeline functions of `import facerefs`: build, train, restore and evaluate, as on the command line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

if TYPE_CHECKING:
    from facerefs.pipeline.evaluation.result import Evaluation
    from facerefs.pipeline.restoring.result import Restoration
    from facerefs.trainers.training_set import TrainingSet

Settings = Mapping[str, object]
"""Settings by their full names, such as `{"analyse.crop_size": 1024}`: `facerefs settings` lists them."""


def build(
    source: str | Path,
    out: str | Path,
    *,
    config: str | Path | None = None,
    settings: Settings | None = None,
    engines: Literal["embedded", "insightface"] | None = None,
    labels: Literal["trust", "check", "ignore"] | None = None,
    identities: str | Path | None = None,
    contact: str | None = None,
    retry: Literal["transient", "all"] | None = None,
    update: bool = False,
    workers: int | None = None,
    address: str | None = None,
    quiet: bool = False,
) -> "TrainingSet":
    """Make a training set from photos, or update the one in `out`. Returns the opened training set.

    source: as on the command line: a folder, a list of URLs, tars, `commons:Q76`. config: a YAML file; `settings`
    override it. identities: a file of lines `PHOTO.jpg PERSON`. quiet: print nothing.
    Raises UserError for mistakes that the user must correct, RunError if a stage failed: the same call continues.
    """
    from facerefs.pipeline.commands.build import BuildOptions, build_command
    from facerefs.trainers.training_set import open_set

    options = BuildOptions(
        source=str(source),
        out=out,
        config_file=_path(config),
        settings=_as_text(settings),
        engines=engines,
        labels=labels,
        labels_file=_path(identities),
        contact=contact,
        retry=retry,
        update=update,
        workers=workers,
        address=address,
    )
    build_command(options, _console(quiet))
    return open_set(out)


def merge(
    builds: Sequence[str | Path],
    out: str | Path,
    *,
    config: str | Path | None = None,
    settings: Settings | None = None,
    update: bool = False,
    workers: int | None = None,
    address: str | None = None,
    quiet: bool = False,
) -> "TrainingSet":
    """Join finished builds into one, without analysing their photos again. Returns the opened training set.

    builds: folders or addresses of builds; the settings of the first one count, unless `config` or `settings` has
    others. Raises UserError for mistakes that the user must correct, RunError if a stage failed: the same call
    continues.
    """
    from facerefs.pipeline.commands.build import RunOptions
    from facerefs.pipeline.commands.merge import MergeOptions, merge_command
    from facerefs.trainers.training_set import open_set

    options = MergeOptions(
        builds=tuple(map(str, builds)),
        out=out,
        config_file=_path(config),
        settings=_as_text(settings),
        run=RunOptions(update, workers, address),
    )
    merge_command(options, _console(quiet))
    return open_set(out)


def train(
    model: str,
    data: str | Path | Sequence[str | Path],
    run: str | Path,
    *,
    preset: str | None = None,
    steps: int | None = None,
    config: str | Path | None = None,
    settings: Settings | None = None,
    resume: bool = False,
    device: Literal["cpu", "cuda"] | None = None,
    workers: int = 1,
    address: str | None = None,
    quiet: bool = False,
) -> Path:
    """Train a model on training sets. Returns the folder of the run.

    model: a name that `facerefs models` lists. data: folders of builds or of shards, or addresses. preset: `paper` if
    None. steps: the number of steps. device: if None, `cuda` if there is a GPU. workers: the number of processes that
    train together with Ray Train. Raises UserError, RunError, and KeyboardInterrupt if it was stopped: the same call
    with `resume` continues.
    """
    from facerefs.pipeline.training.job import TrainOptions
    from facerefs.pipeline.training.train import train_command

    places = (data,) if isinstance(data, str | Path) else tuple(data)
    options = TrainOptions(
        model=model,
        run=Path(run),
        data=tuple(map(str, places)),
        preset=preset,
        steps=steps,
        config_file=_path(config),
        settings=_as_text(settings),
        resume=resume,
        device=device,
        workers=workers,
        address=address,
    )
    train_command(options, _console(quiet))
    return Path(run).absolute()


def restore(
    run: str | Path,
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    references: str | Path | Sequence[str | Path] = (),
    person: str | None = None,
    blind: str | Path | None = None,
    faces: Literal["all", "largest"] | int = "all",
    strength: float = 1.0,
    grain: bool = True,
    landmarks: str | Path | None = None,
    aligned: bool = False,
    frames: bool = False,
    outputs: int = 1,
    seed: int = 0,
    file_format: Literal["png", "jpg", "webp"] = "png",
    quality: int | None = None,
    crops: bool = False,
    sheet: bool = False,
    pictures: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    engines: Literal["embedded", "insightface"] = "embedded",
    device: Literal["cpu", "cuda"] | None = None,
    quiet: bool = False,
) -> "Restoration":
    """Restore the faces of photos, each with a reference of its person. Returns the written files, with what was done.

    run: the folder of a training run. source: photos, folders of photos, patterns. references: good photos of a
    person, a folder of them, or a folder with a sub-folder per person. person: whose the face most like them is,
    whatever the similarity. blind: a run without references, for faces that have none. faces: all, the largest, or
    one's number. strength: the share of the restored face, 0 to 1. grain: give it the grain of the photo.
    landmarks: the folder of a run of the model `landmarks`. aligned: the photos are aligned faces. frames: they are
    frames of one video. outputs: versions per photo, for stochastic models. crops, sheet, pictures: also write aligned
    faces, a comparison, the model's work. overwrite: replace outputs that are there; resume: restore only the photos
    that have none.
    Raises UserError; RestoreError, which has the `result`, if one of several photos could not be restored.
    """
    from facerefs.pipeline.restoring.options import RestoreOptions
    from facerefs.pipeline.restoring.restore import restore_command

    options = RestoreOptions(
        run=Path(run),
        sources=_paths(source),
        out=Path(out),
        references=_paths(references),
        person=person,
        blind=_path(blind),
        faces=str(faces),
        strength=strength,
        grain=grain,
        landmarks=_path(landmarks),
        aligned=aligned,
        frames=frames,
        engines=engines,
        device=device,
        outputs=outputs,
        seed=seed,
        ending=file_format,
        quality=quality,
        crops=crops,
        sheet=sheet,
        pictures=pictures,
        overwrite=overwrite,
        resume=resume,
    )
    return restore_command(options, _console(quiet))


def evaluate(
    methods: Mapping[str, str | Path] | Sequence[str | Path],
    data: str | Path | None = None,
    *,
    protocol: str | None = None,
    split: str = "test",
    out: str | Path | None = None,
    reference_set: str | Path | None = None,
    references: str | Path | None = None,
    names: str | Path | None = None,
    size_px: int | None = None,
    samples: int | None = None,
    config: str | Path | None = None,
    settings: Settings | None = None,
    cache: str | Path | None = None,
    device: Literal["cpu", "cuda"] | None = None,
    quiet: bool = False,
) -> "Evaluation":
    """Judge training runs and folders of outputs on a set, side by side with baselines. Returns all figures.

    methods: folders, or folders by name. data: the set; None judges folders without ground truth. protocol: judge as it
    says. out: a folder for the tables and the page. reference_set: what FID compares with. references: without data, a
    folder of references for IPS. names: a CSV with the columns key and file, if outputs are not named after keys.
    size_px: side to which all faces are reduced. samples: judge at most so many. cache: where what networks made is
    kept. Raises UserError.
    """
    from facerefs.pipeline.evaluation.evaluate import evaluate_command
    from facerefs.pipeline.evaluation.options import EvaluateOptions

    named = [f"{name}={path}" for name, path in methods.items()] if isinstance(methods, Mapping) else methods
    options = EvaluateOptions(
        methods=tuple(map(str, named)),
        data=None if data is None else str(data),
        protocol=protocol,
        split=split,
        out=_path(out),
        reference_set=None if reference_set is None else str(reference_set),
        references=_path(references),
        names=_path(names),
        size_px=size_px,
        samples=samples,
        config_file=_path(config),
        settings=_as_text(settings),
        cache=_path(cache),
        device=device,
    )
    return evaluate_command(options, _console(quiet))


def _path(place: str | Path | None) -> Path | None:
    return None if place is None else Path(place)


def _paths(places: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    return (Path(places),) if isinstance(places, str | Path) else tuple(map(Path, places))


def _as_text(settings: Settings | None) -> tuple[str, ...]:
    """The settings as texts for `--set`; values are JSON, which is also YAML."""
    return tuple(f"{name}={json.dumps(value)}" for name, value in (settings or {}).items())


def _console(quiet: bool) -> Console:
    return Console(soft_wrap=True, markup=False, quiet=quiet)
