"""The build: the stages in the order in which a photo meets them."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml
from rich.console import Console

from facerefs.pipeline.build import leakage, overrides, warnings
from facerefs.pipeline.build.given.update import read_given, update_given
from facerefs.pipeline.build.listing import update_sources
from facerefs.pipeline.build.moved_photos import MovedPhotos
from facerefs.pipeline.config.config import Config, to_tree, written_type
from facerefs.pipeline.config.read_settings import completed, differences
from facerefs.pipeline.config.renamed_settings import with_new_names
from facerefs.pipeline.dataset import card
from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.fetch.retry import Retry
from facerefs.pipeline.inputs.analyse import AnalyseInput
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.inputs.made_elsewhere import ElsewhereInput, check_folder
from facerefs.pipeline.inputs.shard import ShardInput
from facerefs.pipeline.removal.keep_out import KeptOut
from facerefs.pipeline.runner.event_log import LOG_FILE
from facerefs.pipeline.runner.progress import BuildWatch
from facerefs.pipeline.runner.runner import Runner
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.fingerprint import changed_settings
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.old_layout import move_blobs
from facerefs.pipeline.text import shown
from facerefs.schemas.file_names import BLOBS_FOLDER, BUILD_FILE
from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.fetch import Fetch
from facerefs.stages.given_pairs import GivenPairs
from facerefs.stages.given_splits import GivenSplits
from facerefs.stages.label import Label
from facerefs.stages.quality.basicsr import BasicsrMissingError
from facerefs.stages.sources.registry import service_of
from facerefs.stages.sources.source import PhotoSource, SourceError
from facerefs.stages.stage import WholeStage

BUILDS = "builds"
PROTOCOL = "protocol"
"""The key in build.yaml of the builds that a build is merged from."""
_NO_LABELS = {"sources": pc.scalar(False)}  # no row


@dataclass(frozen=True)
class BuildPlan:
    """What a build is made of."""

    source: str  # as the user wrote it, made absolute
    labels_file: str | None
    config: Config
    builds: tuple[str, ...] = ()  # the builds that it is merged from; then `source` only names them
    protocol: str | None = None  # the name and the hash of the protocol that it follows

    def tree(self) -> dict[str, Any]:
        """As it is written into the build's folder."""
        merged = {BUILDS: list(self.builds)} if self.builds else {}
        return {
            "source": self.source,
            "labels_file": self.labels_file,
            **merged,
            **({PROTOCOL: self.protocol} if self.protocol else {}),
            "config": to_tree(self.config),
        }

    def listing_key(self) -> str:
        """What a source is asked for: all that its list depends on, as far as it is not the default."""
        service, _ = service_of(self.source)
        section = None if service is None else service.settings_section
        changed = changed_settings(self.config)
        asked = {"source": self.source, "rows_per_part": changed.get("rows_per_part")}
        if section is not None and section in self.config.sources:
            asked[section] = changed_settings(self.config.sources[section])
        return yaml.safe_dump({name: value for name, value in asked.items() if value}, sort_keys=False)


def build(
    source: PhotoSource,
    plan: BuildPlan,
    storage: Storage,
    workers: RayWorkers,
    console: Console,
    retry: Retry | None = None,
    watch: BuildWatch | None = None,
) -> None:
    """Bring every table and the shards of a build up to date.

    Raises UserError for what only the user can mend, RunError if a stage fails.
    """
    from facerefs.pipeline.fetch.fetch import run_fetch

    config = plan.config
    run = Runner(storage, console, workers, watch, config.memory_mb, config.spread_from_rows)
    lines = overrides.read(storage)
    given = read_given(config.given)
    with begun(plan, run):
        listing_key, again = plan.listing_key(), retry is Retry.ALL
        moved = MovedPhotos(storage, config.crawl, config.analyse)
        kept_out = KeptOut(storage, config)
        kept_out.finish_removal()
        notes = update_sources(
            source, listing_key, config.rows_per_part, storage, console, again, moved, watch, kept_out
        )
        run_fetch(config.fetch, storage, workers, console, retry, watch)
        if kept_out.is_needed:
            run.run_parts(config.crawl, CrawlInput(storage))  # the bytes are known only now
            kept_out.remove_known()
        make_set(run, config, lines, given)
        notes += [kept_out.sentence] if kept_out.sentence else []
    for note in notes:  # again, since hours may have passed
        console.print(f"{'listed':<11} {shown(note)}", highlight=False)


@contextmanager
def begun(plan: BuildPlan, run: Runner) -> Iterator[None]:
    """Write what the build is made of, unless the block cannot begin; an error of the block is one for the user."""
    storage, config = run.storage, plan.config
    text = yaml.safe_dump(plan.tree(), sort_keys=False)
    try:
        if storage.read_text(BUILD_FILE) != text and not plan.builds:
            # What is missing for these settings is better said now than after the crawl, and before they are kept.
            replace(config.analyse).setup()
        check_folder(config.made_elsewhere.folder)
        storage.clear_temporary()
        if tars := move_blobs(storage):
            run.console.print(f"tars of an earlier version: {tars} moved to {BLOBS_FOLDER}/", highlight=False)
        storage.write_text(BUILD_FILE, text)
        if run.watch is not None:  # not before: a build that is refused leaves nothing behind
            facts = {"source": plan.source, "workers": run.workers.count, "process": os.getpid()}
            run.watch.log.write("build_started", facts)
        yield
    except (SourceError, MissingWeights) as error:
        if not storage.parts("sources"):
            for name in (
                BUILD_FILE,
                LOG_FILE,
            ):  # nothing was listed: the folder is still free for another source
                storage.remove_file(name)
        raise UserError(str(error)) from None
    except BasicsrMissingError as error:
        raise UserError(f"{error}, or do without NIQE: --set analyse.niqe=false") from None


def make_set(
    run: Runner,
    config: Config,
    lines: Sequence[overrides.Override],
    given: dict[str, pa.Table],
    before_analyse: Callable[[], None] = lambda: None,
) -> None:
    """Bring all tables after `sources` and `downloads` up to date, and the shards with what lies beside them.

    lines: those of `overrides.csv`. given: the published lists (`read_given`). before_analyse: called when it is
    known which photos are copies.
    """
    storage, console = run.storage, run.console
    run.run_parts(config.crawl, CrawlInput(storage))
    overrides.update(storage, lines)
    update_given(storage, given)
    # Labels that are ignored keep no copies apart.
    _run_whole(run, config.dedupe, _NO_LABELS if config.cluster.labels == "ignore" else None)
    before_analyse()
    run.run_parts(config.analyse, AnalyseInput(storage, near_copies_too=bool(config.given.pairs)))
    warnings.say_copies_that_came_back(storage, console)
    run.run_whole(Label())
    for stage in (config.compare, config.cluster):
        _run_whole(run, stage)
    if config.made_elsewhere.folder is not None or storage.parts("made_elsewhere"):
        run.run_parts(config.made_elsewhere, ElsewhereInput(storage, config.made_elsewhere))
    _run_pairs(run, config)
    warnings.warn_about_unmatched_overrides(storage, console)
    warnings.warn_about_identities(storage, console)
    # A set of which a shard is about to change is unfinished until `card.write` says otherwise.
    run.run_parts(config.shard, ShardInput(storage, config.shard), partial(card.invalidate_manifest, storage))
    leakage.check(storage, console)
    card.write(storage, config.shard)


def _run_pairs(run: Runner, config: Config) -> None:
    """Choose pairs or take the published ones; take the published splits, if there are any."""
    if config.given.pairs:
        lines = {"overrides": overrides.relevant_to("given")}
        _run_whole(run, GivenPairs(config.select, config.cluster.same), lines)
    else:
        _run_whole(run, config.select)
    if run.storage.parts("given_splits"):
        _run_whole(run, GivenSplits())


def _run_whole(run: Runner, stage: WholeStage, only: Mapping[str, pc.Expression] | None = None) -> None:
    run.run_whole(stage, {"overrides": overrides.relevant_to(stage.writes), **(only or {})})


def check_output(plan: BuildPlan, storage: Storage, update: bool) -> Iterator[str]:
    """Hold a new plan against the build that is in the folder already; yields what an update will change.

    A setting that was not there yet had what is now its default.

    Raises UserError if, without `update`, the folder is of another source or of another configuration.
    """
    text = storage.read_text(BUILD_FILE)
    if text is None:
        return
    try:
        old = yaml.safe_load(text)
        old_source, old_config = old["source"], with_new_names(old["config"])
    except (yaml.YAMLError, TypeError, KeyError, RecursionError) as error:
        why = " ".join(str(error).split())  # YAML errors have several lines
        raise RunError(
            f"{storage.address}/{BUILD_FILE} is damaged ({why}): choose another --out", again=False
        ) from None
    old_config = completed(written_type(), old_config)
    if BUILDS in old and not plan.builds:
        raise UserError(
            f"{storage.address} holds a build that was merged ({shown(str(old_source))}): run facerefs merge again, or "
            "choose another folder for --out"
        )
    if plan.builds and BUILDS not in old:
        raise UserError(
            f"{storage.address} holds a build of {old_source}, not a merged one: choose another folder for --out"
        )
    if old_source != plan.source and not update:
        raise UserError(
            f"{storage.address} holds a build of {old_source}, not of {plan.source}: if the source has moved or has "
            "another name, add --update, which keeps what was made of the photos that are the same; or choose another "
            "folder for --out"
        )
    changes = differences(
        {"source": old_source, "labels_file": old.get("labels_file"), "config": old_config},
        {"source": plan.source, "labels_file": plan.labels_file, "config": to_tree(plan.config)},
    )
    changes = [change.removeprefix("config.") for change in changes]
    redone = [change for change in changes if not _changes_no_row(change)]
    if redone and not update:
        what = (
            "by another version of facerefs"
            if _other_settings(old_config, plan)
            else "with another configuration"
        )
        raise UserError(
            f"{storage.address} holds a build {what} ({'; '.join(redone)}): "
            "add --update to redo what that changes, or choose another folder for --out"
        )
    yield from changes


def _other_settings(old_config: Any, plan: BuildPlan) -> bool:
    """Whether there were settings that are no more."""
    return _names(old_config) != _names(to_tree(plan.config))


def _names(tree: Any) -> set[tuple[str, ...]]:
    sections = tree if isinstance(tree, dict) else {}
    return {
        (str(name), *map(str, section if isinstance(section, dict) else ()))
        for name, section in sections.items()
    }


def _changes_no_row(change: str) -> bool:
    """Whether a changed setting decides only how photos are fetched, not which, where arrays lie, or the card's text.

    Nothing is made again for it.
    """
    setting = change.partition(":")[0]
    section, _, name = setting.partition(".")
    if section == "fetch":
        return name not in Fetch.rules
    return setting in ("memory_mb", "spread_from_rows", "shard.contact")
