"""What must fit before the first step: settings, shards, and the folder of the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from facerefs.trainers.loop import checkpoint as checkpoints
from facerefs.trainers.loop.checkpoint import Checkpoint, CheckpointError
from facerefs.trainers.loop.stored import Stored, look_into
from facerefs.trainers.models.model import Model, Restorer
from facerefs.trainers.stream.errors import StreamError


def check(model: Model, places: Sequence[str], world_size: int) -> Stored:
    """Hold settings against shards, and say what is in them. Raises ValueError, in one sentence."""
    data, size_px = model.data, model.size_px
    if size_px < 4 or size_px & (size_px - 1):
        raise ValueError(f"networks work on faces whose side is a power of two, not {size_px} px")
    if data.batch_size % world_size:
        raise ValueError(
            f"a batch of {data.batch_size} cannot be shared equally among {world_size} workers: "
            f"set data.batch_size to a multiple of {world_size}"
        )
    looks = {place: look_into(place, "train") for place in places}
    first = looks[places[0]]
    for place, look in looks.items():
        if (look.side_px, look.embedder) != (first.side_px, first.embedder):
            raise ValueError(
                f"{place} holds faces of {look.side_px} px with embeddings by {look.embedder!r}, {places[0]} those of "
                f"{first.side_px} px by {first.embedder!r}: train on sets that were built alike"
            )
        if look.references < data.references:
            raise ValueError(
                f"{place} holds {look.references} references of a face, and data.references is {data.references}: "
                f"build it with select.references={data.references}, or set data.references={look.references}"
            )
    if size_px > first.side_px:
        raise ValueError(
            f"{places[0]} holds faces of {first.side_px} px, the networks want {size_px} px: "
            "choose a smaller size, or build with a larger analyse.crop_size"
        )
    if size_px < first.side_px and data.degradation == "stored":
        raise ValueError(
            f"data.degradation=stored is of faces of {first.side_px} px, and the networks see them at {size_px} px: "
            "name a recipe, such as data.degradation=gfpgan"
        )
    held_out = _held_out(places[0], data.validation_split)
    if isinstance(model, Restorer) and model.identity and data.references:
        _check_photos({**looks, f"{places[0]} ({data.validation_split})": held_out})
    return first


def _check_photos(looks: Mapping[str, Stored]) -> None:
    """Raise ValueError for references without an embedding where the model takes it: it would learn from zeros."""
    for place, look in looks.items():
        if look.synthesised:
            raise ValueError(
                f"{place} holds synthesised references (at least {look.synthesised}), which have no embedding, and the "
                "model takes the embedding of its reference: build the set again with --set select.synthesise=0 "
                "--update, or train on another"
            )


def _held_out(place: str, split: str) -> Stored:
    try:
        return look_into(place, split)
    except StreamError as error:
        raise ValueError(
            f"nothing to validate on: {error}; build with more people, or set data.validation_split=train"
        ) from None


def checkpoint_to_go_on_from(name: str, folder: Path, resume: bool) -> Checkpoint | None:
    """The newest checkpoint of a folder; None if the run is to begin. Raises CheckpointError if it is not so."""
    if not resume:
        check_none_there(folder)
        return None
    kept = checkpoints.read(checkpoints.newest(folder))
    if kept.model != name:
        raise CheckpointError(f"{folder} holds a run of {kept.model}, not of {name}: choose another folder")
    return kept


def check_none_there(folder: Path) -> None:
    """Raise CheckpointError if a folder, where a run is to begin, holds checkpoints of another."""
    if there := checkpoints.checkpoints(folder):
        raise CheckpointError(
            f"{folder} holds {there[-1].name} already: add --resume to go on, or choose another folder"
        )
