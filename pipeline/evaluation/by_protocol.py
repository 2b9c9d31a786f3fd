"""Judge outputs as a protocol says: on its set, its split, with its settings and networks."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from facerefs.pipeline.build.build import PROTOCOL
from facerefs.pipeline.build.folder import storage_at
from facerefs.pipeline.config.read_settings import differences, read_settings
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.settings import EvaluationSettings
from facerefs.pipeline.protocols.apply import standing
from facerefs.pipeline.protocols.protocol import Protocol
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import BUILD_FILE, SAMPLES_FOLDER
from facerefs.trainers.loop.settings import to_dict

_FREE = ("weights.", "batch_size")
"""Settings that say where networks are, and how many samples are judged at a time."""


def protocol_of_set(place: str) -> str | None:
    """Name and hash of the protocol that a build, or the build around a folder `samples`, follows; None without one."""
    if (build := _build_of(place)) is None:
        return None
    tree = yaml.safe_load(build.read_text(BUILD_FILE) or "")
    said = tree.get(PROTOCOL) if isinstance(tree, dict) else None
    return said if isinstance(said, str) else None


def protocol_notes(protocol: Protocol | None, place: str) -> Iterator[str]:
    """What must be said of the protocol of a set that is judged: also that its photos or decisions are others."""
    said = protocol_of_set(place)
    if protocol is not None and (build := _build_of(place)) is not None:
        yield f"judged by the protocol {standing(protocol, build)}"
    elif said is not None:
        yield f"the set is that of the protocol {said}, but is not judged by it: add --protocol {said.split()[0]}"


def _build_of(place: str) -> Storage | None:
    """The build at a place, or around it if it is a build's folder `samples`; None if there is none."""
    if place.startswith(("http://", "https://")):  # shards that are only read: no build writes there
        return None
    folder, _, name = place.rstrip("/").rpartition("/")
    places = (place, folder or ".") if name == SAMPLES_FOLDER else (place,)
    return next((one for one in map(storage_at, places) if one.exists(BUILD_FILE)), None)


def judging_settings(
    protocol: Protocol, example: str, path: Path | None, settings: Sequence[str]
) -> EvaluationSettings:
    """The settings of an evaluation by a protocol. Raises UserError if others are given that decide about figures."""
    under = dict(protocol.evaluate.settings)
    asked = read_settings(EvaluationSettings, example, path, settings, under=under)
    alone = read_settings(EvaluationSettings, example, under=under)
    fixed = [change for change in differences(to_dict(alone), to_dict(asked)) if not change.startswith(_FREE)]
    if fixed:
        raise UserError(
            f"--protocol {protocol.name} fixes all settings that decide about figures: leave out what changes "
            f"{'; '.join(fixed)}"
        )
    return asked


def check_judged(protocol: Protocol, place: str | None, split: str) -> None:
    """Raise UserError unless the set and the split are those of the protocol."""
    if place is None:
        raise UserError(f"--protocol {protocol.name} judges on its set: add --data with it")
    said = protocol_of_set(place)
    if said != protocol.known_as:
        found = (
            "of no protocol, or a copy without its build.yaml" if said is None else f"of the protocol {said}"
        )
        raise UserError(
            f"{place} is {found}, and not of {protocol.known_as}: build it with facerefs build PHOTOS --protocol "
            f"{protocol.name}, or judge without --protocol"
        )
    if split != protocol.evaluate.split:
        raise UserError(
            f"the protocol {protocol.name} judges on the split {protocol.evaluate.split}, not {split}"
        )


def check_networks(protocol: Protocol, used: Mapping[str, str]) -> None:
    """Raise UserError if a figure was computed with other weights than those that the protocol names.

    used: the SHA-256 of the weights, by figure; empty where there are none.
    """
    others = [
        f"{figure} with {used[figure][:12] or 'none'}, not {sha256[:12]}"
        for figure, sha256 in protocol.evaluate.networks.items()
        if figure in used and used[figure] != sha256
    ]
    if others:
        raise UserError(
            f"the protocol {protocol.name} names other weights: {'; '.join(others)}: give its weights with --set "
            "weights.NAME=FILE, or judge without --protocol"
        )
