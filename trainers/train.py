"""Train a model on shards, from its settings to its last checkpoint; everything is checked before step 1."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from facerefs.trainers.check import check, checkpoint_to_go_on_from
from facerefs.trainers.distributed import Distributed
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.loop.ema import EMA
from facerefs.trainers.loop.log import Log
from facerefs.trainers.loop.loop import run_loop
from facerefs.trainers.loop.precision import compile_networks, round_products, use_channels_last
from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER, RunDescription, RunRecorder, load
from facerefs.trainers.loop.seeds import seed_torch
from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.loop.training_module import TrainingModule
from facerefs.trainers.loop.validation import FixedSet, draw_fixed_set
from facerefs.trainers.models.model import Model
from facerefs.trainers.stream.batches.batch import FaceBatch
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.faces import face_stream
from facerefs.trainers.stream.samples.prepare import FacePreparation, Prepared
from facerefs.trainers.stream.stream import Source, Stream, StreamState


class CannotTrain(ValueError):  # noqa: N818  a message for the user, not a bug
    """Settings, shards and run folder do not fit together: one sentence that says what to do."""


@dataclass(frozen=True)
class TrainingResult:
    """How training ended."""

    step: int
    stopped: bool  # by a request, before the last step


@dataclass(frozen=True, eq=False)
class Ready:
    """Everything that training needs at its start."""

    training_module: TrainingModule
    averages: EMA
    stream: Stream[Prepared, FaceBatch]
    held_out: FixedSet | None  # on rank 0 only
    embedder: str
    step: int


def train(
    name: str,
    model: Model,
    places: Sequence[str],
    run: Path,
    resume: bool,
    ranks: Distributed,
    announce: Callable[[str], None],
    stop: Callable[[], bool],
    begin: Callable[[], None] = lambda: None,
) -> TrainingResult:
    """Train a model of the catalogue; called in the same way on each rank. Only rank 0 writes into the folder `run`.

    places: folders or addresses of shards, in equal shares; validation uses the first one.
    resume: from the newest checkpoint in `run`, which all ranks read; without it there must be none.
    announce: receives progress lines for the user, on rank 0. stop: returns whether to end after the current step.
    begin: called on rank 0 after all checks, before anything is written.
    Raises, in one sentence each: CannotTrain before anything is done, MissingWeights, StreamError for shards that
    fail while they are read, and Diverged for losses that are not finite.
    """
    try:
        ready = _make_ready(name, model, places, run, resume, ranks)
    except ValueError as error:
        raise CannotTrain(" ".join(str(error).split())) from error
    loop, training_module, images = model.loop, ready.training_module, model.data.batch_size
    with ExitStack() as open_until_the_end:
        log = None
        if ranks.is_main:
            begin()
            log = open_until_the_end.enter_context(closing(Log(run, ready.step, announce)))
            if ready.step == 0:
                log.begin(training_module.notes)
            for note in training_module.notes:
                announce(f"note        {note}")
        open_until_the_end.enter_context(closing(ready.stream))
        warp = warp_for(model.size_px) if model.data.references else None
        batches = open_until_the_end.enter_context(
            closing(on_device(ready.stream, ranks.device, warp=warp, points=training_module.points))
        )
        record = RunRecorder(
            run=run,
            subject=RunDescription(name, to_dict(model), ready.embedder),
            training_module=training_module,
            averages=ready.averages,
            batches=batches,
            images=images,
            loop=loop,
            ranks=ranks,
            log=log,
            held_out=ready.held_out,
            step=ready.step,
        )
        end = run_loop(
            training_module,
            ready.averages,
            batches,
            images,
            ready.step,
            loop,
            ranks,
            record.on_step_end,
            stop,
        )
    return TrainingResult(end, stopped=end < loop.steps)


def _make_ready(
    name: str, model: Model, places: Sequence[str], run: Path, resume: bool, ranks: Distributed
) -> Ready:
    loop, data = model.loop, model.data
    stored = check(model, places, ranks.world_size)
    kept = checkpoint_to_go_on_from(name, run / CHECKPOINTS_FOLDER, resume)
    preparation = FacePreparation(
        seed=loop.seed,
        size_px=stored.side_px,
        references=data.references,
        reference_choice=data.reference_choice,
        require_references=data.references > 0,
        flip_chance=data.flip_chance,
        reduce_px=None if model.size_px == stored.side_px else model.size_px,
        degradation=data.degradation,
    )
    round_products(loop.precision)
    seed_torch(loop.seed, "networks")
    networks = {key: network.to(ranks.device).train() for key, network in model.networks().items()}
    if loop.channels_last:
        use_channels_last(networks)
    training_module = model.training_module(networks, ranks.device, stored.embedder)
    averages = EMA(networks, training_module.averaged, loop.average_half_life_images)
    stream = _stream(model, places, preparation, ranks)
    if kept is not None:
        load(kept, training_module, averages)
        stream.load_state_dict(cast(StreamState, kept.stream))  # the stream checks it
    ranks.check_same([*networks.values(), *averages.networks.values()])
    training_module = _checked(model, training_module, places[0], preparation, ranks)
    if loop.compile:
        compile_networks(networks)
    held_out = _held_out(model, places[0], preparation, ranks) if ranks.is_main else None
    return Ready(
        training_module, averages, stream, held_out, stored.embedder, kept.step if kept is not None else 0
    )


def _checked(
    model: Model, made: TrainingModule, place: str, preparation: FacePreparation, ranks: Distributed
) -> TrainingModule:
    """The training module, with its notes about the first samples. Raises ValueError if it cannot use them."""
    if made.check is None and made.notes_about is None:
        return made
    share = model.data.batch_size // ranks.world_size
    stored_faces = replace(preparation, reduce_px=None, flip_chance=0.0)  # as the engines measured them
    notes: tuple[str, ...] = ()
    for batch in draw_fixed_set(place, "train", stored_faces, share, share, ranks.device).ready():
        if made.check is not None:
            made.check(batch)
        if made.notes_about is not None:
            notes += made.notes_about(batch)
    return replace(made, notes=(*made.notes, *notes))


def _stream(
    model: Model, places: Sequence[str], preparation: FacePreparation, ranks: Distributed
) -> Stream[Prepared, FaceBatch]:
    return face_stream(
        [Source(place) for place in places],
        batch_size=model.data.batch_size,
        preparation=preparation,
        sampling=model.data.sampling,
        rank=ranks.rank,
        world_size=ranks.world_size,
        workers=model.data.workers,
        at_once=None if ranks.device.type == "cuda" else 1,
    )


def _held_out(model: Model, place: str, preparation: FacePreparation, ranks: Distributed) -> FixedSet:
    return draw_fixed_set(
        place,
        model.data.validation_split,
        replace(preparation, flip_chance=0.0),
        model.loop.validation_samples,
        model.data.batch_size // ranks.world_size,
        ranks.device,
    )
