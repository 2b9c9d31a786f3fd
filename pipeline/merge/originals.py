"""The builds that are merged: finished, of this version of facerefs, each another one, and none of them the result."""

import posixpath
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from facerefs.pipeline.build.build import BUILDS
from facerefs.pipeline.build.folder import open_build
from facerefs.pipeline.config.config import RECORD, Config, read_config
from facerefs.pipeline.config.read_settings import recorded
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.inputs.analyse import AnalyseInput
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.inputs.fetch import FetchInput, download_fingerprint
from facerefs.pipeline.merge.groups import Signature, signatures_of
from facerefs.pipeline.runner.runner import part_fingerprint
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.lease import LEASE_FILE
from facerefs.pipeline.storage.lock import reading
from facerefs.pipeline.storage.old_layout import is_old_layout
from facerefs.schemas.file_names import BUILD_FILE, SAMPLES_FOLDER
from facerefs.schemas.manifest import MANIFEST_FILE


@dataclass(frozen=True)
class Original:
    """One of the builds that are merged. It is only read."""

    storage: Storage
    prefix: str  # of the keys of its photos that another build has for other photos
    config: Config
    tree: dict[str, Any]  # the settings as they are written in its build.yaml
    builds: tuple[str, ...] = ()  # that it is merged from

    @property
    def address(self) -> str:
        """Its folder or address, which names it in messages."""
        return self.storage.address

    @property
    def command(self) -> str:
        """The command that brings it up to date."""
        out = shlex.quote(self.address)
        if self.builds:
            return shlex.join(["facerefs", "merge", *self.builds, "--out", self.address])
        return f"facerefs build --config {shlex.quote(posixpath.join(self.address, BUILD_FILE))} --out {out}"


def open_originals(places: Sequence[str], out: Storage) -> list[Original]:
    """The builds at these places. out: that of the result. Raises UserError if they cannot be merged into it."""
    if len(places) < 2:
        raise UserError("merge joins at least two builds: facerefs merge A B --out C")
    found: dict[str, Original] = {}
    prefixes: set[str] = set()
    for place in places:
        storage = open_build(place)
        real = _real(storage)
        if real in found:
            raise UserError(f"{place} is named twice: name each build once")
        _check_apart(place, real, out)
        name = posixpath.basename(real.rstrip("/")) or "build"
        prefix = next(one for one in _numbered(name) if one not in prefixes)
        prefixes.add(prefix)
        found[real] = _original(storage, prefix)
    return list(found.values())


@contextmanager
def unchanged(originals: Sequence[Original]) -> Iterator[None]:
    """Keep builds from writing to the originals until the block ends. Raises UserError if one does."""
    with ExitStack() as stack:
        for original in originals:
            storage = original.storage
            if storage.is_local:
                stack.enter_context(reading(storage.local_path("")))
            elif storage.exists(LEASE_FILE):
                raise UserError(
                    f"a build writes to {original.address}, or was killed: wait for it, or run {original.command}"
                )
        yield


def check_finished(original: Original) -> set[Signature]:
    """Raise UserError unless all photos of a build were analysed; returns the groups of copies that it analysed."""
    storage, config = original.storage, original.config
    names = storage.parts("sources")
    fetch, crawl, analyse = FetchInput(storage), CrawlInput(storage), AnalyseInput(storage)
    groups: set[Signature] = set()
    is_finished = storage.exists(f"{SAMPLES_FOLDER}/{MANIFEST_FILE}") and names == storage.parts("images")
    for name in names if is_finished else ():
        wanted = fetch.read(name)
        rows = analyse.read(name)
        made_from = {
            "images": part_fingerprint(config.crawl, crawl.read(name)),
            "faces": part_fingerprint(config.analyse, rows),
        }
        if len(wanted):
            made_from["downloads"] = download_fingerprint(config.fetch, wanted)
        parts = {table: storage.part(table, name) for table in made_from}
        is_finished &= all(
            part is not None and part.fingerprint == made_from[table] for table, part in parts.items()
        )
        groups |= signatures_of(rows)
    if not is_finished:
        raise UserError(
            f"{original.address} is not finished, or was made by another version of facerefs: run {original.command}, "
            "then merge"
        )
    return groups


def _original(storage: Storage, prefix: str) -> Original:
    try:
        written = yaml.safe_load(storage.read_text(BUILD_FILE) or "")
        tree = recorded(written, *RECORD) if isinstance(written, dict) else None
        builds = tuple(map(str, written.get(BUILDS, ()))) if tree is not None else ()
        if tree is None:
            raise UserError("it has no settings")
        config = read_config(None, under=tree)
    except (yaml.YAMLError, TypeError, RecursionError, UserError) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"{storage.address}/{BUILD_FILE} cannot be used ({why}): was it made by another version of facerefs? "
            "Run the facerefs build that made it again, with --update"
        ) from None
    original = Original(storage, prefix, config, tree, builds)
    if is_old_layout(storage):
        raise UserError(
            f"{storage.address} is in the layout of an earlier version of facerefs: run {original.command}, then merge"
        )
    return original


def _check_apart(place: str, real: str, out: Storage) -> None:
    target = _real(out)
    if real == target:
        raise UserError(f"{place} is a build to merge and --out at once: choose another folder for --out")
    if f"{target}/".startswith(f"{real}/"):
        raise UserError(
            f"--out {out.address} is inside {place}: choose a folder outside the builds that are merged"
        )
    if f"{real}/".startswith(f"{target}/"):
        raise UserError(
            f"{place} is inside --out {out.address}: choose a folder outside the builds that are merged"
        )


def _real(storage: Storage) -> str:
    return str(Path(storage.root).resolve()) if storage.is_local else storage.address.rstrip("/")


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
