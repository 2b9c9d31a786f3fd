"""Checks before the first step: settings, shards and the run folder must fit together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facerefs.schemas.sample import JSON, read_json
from facerefs.trainers.loop import checkpoint as checkpoints
from facerefs.trainers.loop.checkpoint import Checkpoint, CheckpointError
from facerefs.trainers.models.model import MaskingRestorer, Model, Restorer
from facerefs.trainers.stream.errors import BadSample, StreamError
from facerefs.trainers.stream.samples.decode import decode_sample, stored_references
from facerefs.trainers.stream.shards.reader import ShardReader
from facerefs.trainers.stream.shards.shards import open_shards

_LOOKED_AT = 16  # samples: choice
_LONGEST_NAME = 200


@dataclass(frozen=True)
class ShardInfo:
    """Properties of the shards in a folder, from their first samples."""

    side_px: int  # of the stored faces
    references: int  # the largest number in one sample
    embedder: str  # name of the engine that made the embeddings; `` if there are none
    synthesised: int = (
        0  # references made from their target, without embedding: in all samples, if there is an index
    )
    masked: bool = False  # whether the faces have masks


def probe(place: str, split: str) -> ShardInfo:
    """The properties of a split, from its first samples. Raises StreamError, also if none of them can be read."""
    reader = ShardReader([open_shards(place, split)])
    found: list[ShardInfo] = []
    reason = ""
    for row in range(min(_LOOKED_AT, len(reader.sets[0]))):
        try:
            files = reader.files(0, row)
            target = decode_sample(files, references=(), degraded=False).target
            record = read_json(files[JSON.name("json")])  # valid JSON: decode_sample has read it
            made = sum(isinstance(one, dict) and "synthesis" in one for one in record["references"])
            masked = target.mask is not None
            found.append(
                ShardInfo(target.image.shape[0], stored_references(files), _embedder(record), made, masked)
            )
        except BadSample as error:
            reason = str(error)
    if not found:
        raise StreamError(
            f"none of the first samples of {reader.sets[0].folder.shown} can be used ({reason})"
        )
    first = found[0]
    references = max(one.references for one in found)
    synthesised = max(reader.sets[0].synthesised, sum(one.synthesised for one in found))
    return ShardInfo(first.side_px, references, first.embedder, synthesised, first.masked)


def check(model: Model, places: Sequence[str], world_size: int) -> ShardInfo:
    """The properties of the first set. Raises ValueError, in one sentence, if settings and shards do not fit."""
    data, size_px = model.data, model.size_px
    if size_px < 4 or size_px & (size_px - 1):
        raise ValueError(f"networks work on faces whose side is a power of two, not {size_px} px")
    if data.batch_size % world_size:
        raise ValueError(
            f"a batch of {data.batch_size} cannot be shared equally among {world_size} workers: "
            f"set data.batch_size to a multiple of {world_size}"
        )
    found = {place: probe(place, "train") for place in places}
    first = found[places[0]]
    for place, info in found.items():
        if (info.side_px, info.embedder) != (first.side_px, first.embedder):
            raise ValueError(
                f"{place} holds faces of {info.side_px} px with embeddings by {info.embedder!r}, {places[0]} those of "
                f"{first.side_px} px by {first.embedder!r}: train on sets that were built alike"
            )
        if isinstance(model, MaskingRestorer) and info.masked != first.masked:
            raise ValueError(
                f"only one of {places[0]} and {place} holds masks of faces, and beside them a face without one would "
                "count as all face: build both with the same analyse.parser"
            )
        if info.references < data.references:
            raise ValueError(
                f"{place} holds {info.references} references of a face, and data.references is {data.references}: "
                f"build it with select.references={data.references}, or set data.references={info.references}"
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
        _check_photos({**found, f"{places[0]} ({data.validation_split})": held_out})
    return first


def _embedder(record: Mapping[str, Any]) -> str:
    name = record["target"].get("embedder", "")
    return name[:_LONGEST_NAME] if isinstance(name, str) else ""


def _check_photos(found: Mapping[str, ShardInfo]) -> None:
    """Raise ValueError for references without an embedding, if the model needs it: it would learn from zeros."""
    for place, info in found.items():
        if info.synthesised:
            raise ValueError(
                f"{place} holds synthesised references (at least {info.synthesised}), which have no embedding, and the "
                "model takes the embedding of its reference: build the set again with --set select.synthesise=0 "
                "--update, or train on another"
            )


def _held_out(place: str, split: str) -> ShardInfo:
    try:
        return probe(place, split)
    except StreamError as error:
        raise ValueError(
            f"nothing to validate on: {error}; build with more people, or set data.validation_split=train"
        ) from None


def checkpoint_to_go_on_from(name: str, folder: Path, resume: bool) -> Checkpoint | None:
    """The newest checkpoint of a folder to resume from; None without `resume`.

    Raises CheckpointError if there is no checkpoint to resume, if it is of another model, or, without `resume`, if
    the folder already holds checkpoints.
    """
    if not resume:
        check_none_there(folder)
        return None
    kept = checkpoints.read(checkpoints.newest(folder))
    if kept.model != name:
        raise CheckpointError(f"{folder} holds a run of {kept.model}, not of {name}: choose another folder")
    return kept


def check_none_there(folder: Path) -> None:
    """Raise CheckpointError if the folder of a new run already holds checkpoints."""
    if there := checkpoints.checkpoints(folder):
        raise CheckpointError(
            f"{folder} holds {there[-1].name} already: add --resume to go on, or choose another folder"
        )
