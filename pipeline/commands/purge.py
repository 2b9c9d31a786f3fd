"""`facerefs purge`: remove people and photos from a build for good, and prove it."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from facerefs.pipeline.build import overrides
from facerefs.pipeline.build.build import BUILDS, BuildPlan, begun, make_set
from facerefs.pipeline.build.folder import open_build
from facerefs.pipeline.build.given.update import read_given
from facerefs.pipeline.commands.build import RunOptions, update_build
from facerefs.pipeline.config.config import RECORD, Config, read_config
from facerefs.pipeline.config.read_settings import recorded
from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.removal.chosen import Asked, Chosen, chosen, read_list
from facerefs.pipeline.removal.leftovers import (
    Traces,
    clean_log,
    places_with,
    remove_run_pictures,
    runs_of,
    shown_places,
    traces_of,
)
from facerefs.pipeline.removal.matches import removed_keys
from facerefs.pipeline.removal.parts import PartsWithoutPhotos
from facerefs.pipeline.removal.tombstones import TOMBSTONES_FILE, Tombstones
from facerefs.pipeline.runner.progress import BuildWatch
from facerefs.pipeline.runner.runner import Runner
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import plural, shown
from facerefs.schemas.file_names import BUILD_FILE

CERTIFICATES_FOLDER = "removals"


@dataclass(frozen=True)
class PurgeOptions:
    """The options of `facerefs purge`, not yet checked."""

    build: str | Path
    people: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    list_file: Path | None = None
    run: RunOptions = field(default_factory=RunOptions)

    @property
    def asked(self) -> list[Asked]:
        """All that is to be removed. Raises UserError if that is nothing."""
        given = {"person": self.people, "photo": self.photos, "url": self.urls, "host": self.hosts}
        asked = [Asked(kind, value) for kind, values in given.items() for value in values]
        asked += [] if self.list_file is None else read_list(self.list_file)
        if not asked:
            raise UserError("say what to remove: --person, --photo, --url, --host or --list")
        return asked


@dataclass
class _Removal:
    """What a purge does, and the counts for its certificate."""

    storage: Storage
    config: Config
    plan: BuildPlan
    asked: Sequence[Asked]
    console: Console
    found: Chosen = field(default_factory=Chosen)
    traces: Traces = field(default_factory=lambda: Traces(frozenset(), frozenset(), frozenset()))
    counts: dict[str, Any] = field(default_factory=dict)

    def update(self, workers: RayWorkers, watch: BuildWatch) -> list[str]:
        """Remove, then bring the build up to date.

        A killed purge goes on: what names people outside of the tables goes first, while the tables still tell it; then
        the tombstones, from which the rest follows.
        """
        storage, config = self.storage, self.config
        before = Tombstones.of(storage) or Tombstones.new()
        self.found = chosen(storage, self.asked, before)
        removed = self.found.tombstones(storage, before)
        keys = removed_keys(storage, removed, config.dedupe)
        self.traces = traces_of(storage, set(keys) | self.found.keys, self.found.people)
        self.counts["overrides"] = _clean_overrides(storage, self.traces)
        self.counts["run_pictures"] = remove_run_pictures(storage)
        self.counts["log_lines"] = clean_log(storage, self.traces)
        Chosen(keys=set(keys)).tombstones(storage, removed, with_looks=False).write(storage)
        run = Runner(storage, self.console, workers, watch, config.memory_mb, config.spread_from_rows)
        given = read_given(config.given)
        with begun(self.plan, run):
            parts = PartsWithoutPhotos(storage, config, set(keys))
            parts.remove()
            make_set(run, config, overrides.read(storage), given)
        self.counts["rows"] = parts.rows
        self.counts["photos"] = {
            "asked_for": len(self.found.keys),
            **{kind: sum(why == kind for why in keys.values()) for kind in ("listed", "bytes", "copy")},
        }
        copies = self.counts["photos"]["bytes"] + self.counts["photos"]["copy"]
        copies_said = f", {plural(copies, 'copy', 'copies')} of them included" if copies else ""
        return [f"{'removed':<11} {plural(len(keys), 'photo')}{copies_said}"]


def purge_command(options: PurgeOptions, console: Console) -> None:
    """Remove what is asked for, update the build, search it for what is left, and write a certificate.

    Raises UserError for what is not in the build, RunError if something of it is still in the folder.
    """
    storage = open_build(options.build)
    plan = _plan(storage)
    removal = _Removal(storage, plan.config, plan, options.asked, console)
    out = str(options.build)
    again = shlex.join(
        ["facerefs", "build", "--config", f"{out}/{BUILD_FILE}", "--out", out, "--retry", "transient"]
    )
    update_build(plan, storage, out, options.run, again, console, removal.update)
    removal.counts["log_lines"] += clean_log(storage, removal.traces)
    left = places_with(storage, removal.traces)
    name = _write_certificate(removal, left)
    if runs := runs_of(storage):
        console.print(
            f"runs        {plural(len(runs), 'model')} may have been trained on what was removed, and should be "
            f"trained again: {shown(', '.join(runs))}; their pictures were deleted",
            highlight=False,
        )
    console.print(
        f"kept out    {storage.address}/{TOMBSTONES_FILE} names nobody: leave it there", highlight=False
    )
    console.print(
        f"originals   the photos in {shown(plan.source)} are yours: they were not touched", highlight=False
    )
    console.print(f"certificate {storage.address}/{name}", highlight=False)
    if left:
        raise RunError(
            f"something of what was removed is still in {plural(len(left), 'file')} of the folder: "
            f"{shown(shown_places(left))}; delete or mend these yourself, then run the same command again",
            again=False,
        )
    console.print(f"proof       {_proof(removal.traces)}", highlight=False)


def _plan(storage: Storage) -> BuildPlan:
    try:
        written = yaml.safe_load(storage.read_text(BUILD_FILE) or "")
        tree = recorded(written, *RECORD) if isinstance(written, dict) else None
        if tree is None:
            raise UserError("it has no settings")
        if BUILDS in written:
            raise UserError(
                "it is merged from other builds: purge each of those, then run facerefs merge again"
            )
        config = read_config(None, under=tree)
        return BuildPlan(
            written["source"], written.get("labels_file"), config, protocol=written.get("protocol")
        )
    except (yaml.YAMLError, TypeError, KeyError, RecursionError, UserError) as error:
        why = " ".join(str(error).split())
        raise UserError(f"{storage.address}/{BUILD_FILE} cannot be purged: {why}") from None


def _proof(traces: Traces) -> str:
    """What was searched for; after a killed removal the tables no longer tell all of it."""
    what = f"{plural(len(traces.texts) + len(traces.names), 'name, key or hash', 'names, keys and hashes')}"
    pieces = plural(len(traces.slices), "piece of photos and crops", "pieces of photos and crops")
    if not traces.texts:
        return f"the photos were removed before, so the folder was searched for {what} only: nothing is left"
    return f"every byte of the folder was searched for {what} and {pieces}: nothing is left"


def _clean_overrides(storage: Storage, traces: Traces) -> int:
    """Remove the lines of `overrides.csv` that name what was removed; returns how many."""
    text = storage.read_text(overrides.FILE)
    if text is None:
        return 0
    gone = traces.texts | traces.names
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not any(one in line for one in gone)]
    if len(kept) < len(lines):
        storage.write_text(overrides.FILE, "".join(kept))
    return len(lines) - len(kept)


def _write_certificate(removal: _Removal, left: Sequence[str]) -> str:
    """Write what was removed, when and from where, without naming it; returns the file's name."""
    now = datetime.now(UTC)
    name = f"{CERTIFICATES_FOLDER}/{now:%Y%m%dT%H%M%S}.json"
    removed = Tombstones.of(removal.storage) or Tombstones.new()
    tree = {
        "removed_at": now.isoformat(timespec="seconds"),
        "asked": [
            {"kind": one.kind, "keyed_hash": removed.digest(one.kind, one.value), "photos": photos}
            for one, photos in zip(removal.asked, removal.found.photos, strict=True)
        ],
        **removal.counts,
        "models_to_train_again": len(runs_of(removal.storage)),
        "searched": "every byte of every file, every value of every table",
        "searched_for": {
            "names_keys_and_hashes": len(removal.traces.texts) + len(removal.traces.names),
            "pieces_of_photos_and_crops": len(removal.traces.slices),
        },
        "still_found_in": list(left),
    }
    removal.storage.write_text(name, json.dumps(tree, indent=1) + "\n")
    return name
