"""Use a protocol for a build: its settings, what may be set beside them, and whether the photos are its photos."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from facerefs.pipeline.build import overrides
from facerefs.pipeline.config.config import Config, read_config, to_tree
from facerefs.pipeline.config.read_settings import differences
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.protocols.protocol import GivenFile, Protocol
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import plural
from facerefs.stages.given_pairs import GivenPairs
from facerefs.stages.label import Label

_FREE = (
    *("memory_mb", "spread_from_rows", "fetch.", "shard.contact:"),
    *("given.pairs", "given.splits", "given.degraded_folder"),
)
"""Settings that change no sample, or that are checked by themselves."""


def stage_versions() -> dict[str, int]:
    """The version of each stage on which samples depend."""
    config = Config()
    stages = [getattr(config, item.name) for item in fields(Config)]
    versions = {
        item.name: stage.version
        for item, stage in zip(fields(Config), stages, strict=True)
        if hasattr(stage, "version")
    }
    del versions["fetch"]  # how photos are fetched changes none of them
    return versions | {"label": Label.version, "given_pairs": GivenPairs.version}


def check_versions(protocol: Protocol) -> None:
    """Raise UserError if this facerefs makes samples otherwise than the one for which the protocol was written."""
    here = stage_versions()
    others = [
        f"{name} {version}, here {here.get(name, 'not known')}"
        for name, version in protocol.stages.items()
        if here.get(name) != version
    ]
    if others:
        raise UserError(
            f"the protocol {protocol.name} is of other versions of stages ({'; '.join(others)}), so its samples would "
            "differ: take the version of facerefs that it came with, or the protocol that came with this one"
        )


def check_unchanged(protocol: Protocol, config: Config) -> None:
    """Raise UserError if settings differ from the protocol's that decide about samples."""
    alone = read_config(None, (), under=protocol.tree)
    changes = differences(to_tree(alone), to_tree(config))
    fixed = [change for change in changes if not change.startswith(_FREE)]
    if fixed:
        raise UserError(
            f"--protocol {protocol.name} fixes all settings that decide about samples: leave out what changes "
            f"{'; '.join(fixed)}"
        )


def check_files(protocol: Protocol, given: Mapping[str, Sequence[str]]) -> None:
    """Raise UserError unless the published files that a protocol needs are given, and no others.

    given: the files by option, such as `--pairs`.
    """
    wanted = {file.option: file for file in protocol.files}
    for option, file in wanted.items():
        if not given.get(option):
            raise UserError(f"the protocol {protocol.name} needs {option}: {file.about}")
        for path in given[option]:
            _check_digest(protocol, file, Path(path))
    for option, paths in given.items():
        if paths and option not in wanted:
            raise UserError(f"the protocol {protocol.name} takes no {option}: leave it out")


def _check_digest(protocol: Protocol, file: GivenFile, path: Path) -> None:
    if file.sha256 is None:
        return
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{file.option} {path} cannot be read: {error.strerror or error}") from None
    if found != file.sha256:
        raise UserError(
            f"{path} is another file than that of the protocol {protocol.name} for {file.option}: its SHA-256 is "
            f"{found[:12]}..., not {file.sha256[:12]}..."
        )


def photos_sha256(storage: Storage) -> tuple[int, str]:
    """The number of photos of a build, and one SHA-256 over the paths and the SHA-256 of all of them."""
    rows: Iterable[dict[str, Any]] = storage.scan("images", ("key", "id")).to_pylist()
    lines = sorted(f"{row['id']} {row['key']}\n" for row in rows)
    return len(lines), hashlib.sha256("".join(lines).encode()).hexdigest()


def standing(protocol: Protocol, storage: Storage) -> str:
    """A sentence on whether a build is that of the protocol: with other photos, its figures compare with none."""
    count, digest = photos_sha256(storage)
    known = f"{protocol.name}, hash {protocol.hash[:16]}"
    found = f"{count} photos with the SHA-256 {digest[:16]}"
    if lines := len(overrides.read(storage)):
        return (
            f"{known}: NOT as it says: {plural(lines, 'line')} of overrides.csv may change its samples; figures on "
            "this set compare with no others"
        )
    photos = protocol.photos
    if photos.sha256 not in (None, digest) or photos.count not in (None, count):
        wanted = [f"{photos.count} photos"] if photos.count is not None else []
        wanted += [f"the SHA-256 {photos.sha256[:16]}"] if photos.sha256 is not None else []
        return (
            f"{known}: NOT its photos: {found}, and not {' with '.join(wanted)}; figures on this set compare with no "
            "others"
        )
    if photos.sha256 is None:
        return f"{known}, {found}: figures compare with those of sets with the same two numbers"
    return f"{known}, on its own {found}"
