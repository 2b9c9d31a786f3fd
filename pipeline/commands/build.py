"""`facerefs build`: build a training set and its report from the user's options."""

import os
import shlex
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from facerefs.pipeline.build.build import BUILDS, BuildPlan, build, check_output
from facerefs.pipeline.build.closing import closing_lines
from facerefs.pipeline.build.damaged_files import DamagedFiles
from facerefs.pipeline.build.folder import check_not_foreign, storage_at
from facerefs.pipeline.config.config import ENGINES, RECORD, Config, read_config
from facerefs.pipeline.config.read_settings import read_yaml, recorded
from facerefs.pipeline.dataset.result import build_result
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.fetch.retry import Retry
from facerefs.pipeline.protocols.apply import check_files, check_unchanged, check_versions, standing
from facerefs.pipeline.protocols.protocol import Protocol, read_protocol
from facerefs.pipeline.report.report import REPORT_FILE, hides_faces, write_report
from facerefs.pipeline.runner.cluster import check_cluster
from facerefs.pipeline.runner.eta import BuildEta
from facerefs.pipeline.runner.event_log import EventLog
from facerefs.pipeline.runner.progress import BuildWatch
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.catalogue import note_all
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.lease import locked_build
from facerefs.schemas.file_names import BUILD_FILE
from facerefs.stages.sources.resolve import absolute, open_source
from facerefs.stages.sources.source import SourceError

_SMALL_JOB_ROWS = 48  # of a stage: they take about as long as Ray takes to start


@dataclass(frozen=True)
class BuildOptions:
    """The options of `facerefs build`, not yet checked."""

    source: str | None  # None: that of the build whose build.yaml is `config_file`
    out: str | Path  # a folder, or an address in object storage
    config_file: Path | None = None
    settings: tuple[str, ...] = ()  # as `analyse.crop_size=1024`
    engines: str | None = None
    labels: str | None = None
    labels_file: Path | None = None
    protocol: str | None = None
    pairs: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    contact: str | None = None
    allow_private_hosts: bool = False
    retry: str | None = None
    update: bool = False
    workers: int | None = None  # one per core if None
    address: str | None = None
    verbose: bool = False
    check_files: bool = False
    blur: bool = False


def build_command(options: BuildOptions, console: Console) -> None:
    """Check the options, then build the training set and write its report. Raises UserError, RunError."""
    protocol = read_protocol(options.protocol) if options.protocol else None
    config = _config(options, protocol)
    source, labels_file = _source(options, console)
    storage = storage_at(options.out)
    out = Path(storage.root) if storage.is_local else None
    try:
        photos = open_source(
            source, labels_file, config.sources, config.fetch.limits, out, None if out else storage.address
        )
    except SourceError as error:
        raise UserError(str(error)) from None
    _check_ca_file(config.fetch.ca_file)
    if photos.service_query is not None and config.fetch.contact is None:
        raise UserError(
            f"{source} is a public service, which requires a contact address: "
            "add --contact with your e-mail address or the URL of a page about you"
        )
    labels_path = absolute(str(labels_file)) if labels_file else None
    plan = BuildPlan(absolute(source), labels_path, config, protocol=protocol.known_as if protocol else None)
    if out is not None and os.path.realpath(plan.source) == os.path.realpath(out):
        raise UserError(f"{source} is SOURCE and --out at once: choose another folder for --out")
    retry = _retry(options.retry)
    again = shlex.join(command_of(options, Retry.TRANSIENT))
    how = RunOptions(
        options.update,
        options.workers,
        options.address,
        options.verbose,
        options.check_files,
        options.blur,
    )

    def update(workers: RayWorkers, watch: BuildWatch) -> list[str]:
        build(photos, plan, storage, workers, console, retry, watch)
        return [f"{'protocol':<11} {standing(protocol, storage)}"] if protocol else []

    update_build(plan, storage, str(options.out), how, again, console, update)


@dataclass(frozen=True)
class RunOptions:
    """The options of commands that write a build: whether other settings apply to it, and on which workers."""

    update: bool = False
    workers: int | None = None
    address: str | None = None
    verbose: bool = False
    check_files: bool = False  # for damage: also files whose size and time did not change
    blur: bool = False  # hide the faces in the report


def update_build(
    plan: BuildPlan,
    storage: Storage,
    out: str,
    options: RunOptions,
    again: str,
    console: Console,
    update: Callable[[RayWorkers, BuildWatch], Sequence[str]],
) -> None:
    """Bring a build up to date, write its report and print the last lines. Raises UserError, RunError.

    again: the command that tries temporary failures again. update: does the work, and returns further last lines.
    """
    check_not_foreign(storage)
    if options.address is not None:
        check_cluster(options.address)  # now, not after hours of listing and fetching
    with locked_build(storage):
        for change in check_output(plan, storage, options.update):
            console.print(f"changed: {change}", highlight=False)
        workers = RayWorkers(
            options.workers or os.cpu_count() or 1,
            options.address,
            options.verbose,
            options.workers is not None,
            rows_in_process=0 if options.workers else _SMALL_JOB_ROWS,
        )
        log = EventLog(storage)
        with _end_logged(log, storage, console):
            damaged = DamagedFiles(storage, console, log)
            damaged.find(options.check_files)
            lines = damaged.around(lambda: update(workers, BuildWatch(log, BuildEta(workers.count))))
            note_all(storage)
            write_report(storage, options.blur or hides_faces(storage))
            result = build_result(storage)
            log.write("build_done", result.facts())
        storage.remove_scratch()
        console.print(f"report      {storage.address}/{REPORT_FILE}", highlight=False)
        config = plan.config
        last = closing_lines(result, config.shard, out, again, config.analyse.parser)
        for line in (*lines, *filter(None, [damaged.closing_line]), *last):
            console.print(line, highlight=False)


@contextmanager
def _end_logged(log: EventLog, storage: Storage, console: Console) -> Iterator[None]:
    """Note in the log how a build ended that did not succeed; say what to do after Ctrl-C."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        is_stopped = isinstance(error, KeyboardInterrupt)
        if storage.exists(BUILD_FILE):
            event = "build_stopped" if is_stopped else "build_failed"
            log.write(event, {} if is_stopped else {"error": str(error)})
        if is_stopped:
            console.print("stopped     nothing is lost: the same command continues", highlight=False)
        raise
    finally:
        log.upload()


def _config(options: BuildOptions, protocol: Protocol | None) -> Config:
    """The configuration; with a protocol, its settings, and no others that decide about samples. Raises UserError."""
    shortcuts = _shortcuts(options)
    if protocol is None:
        return read_config(options.config_file, options.settings, base=shortcuts)
    check_versions(protocol)
    if options.labels_file is not None:
        raise UserError(
            f"the protocol {protocol.name} takes the names of people from its photos: leave out --identities"
        )
    config = read_config(options.config_file, options.settings, base=shortcuts, under=protocol.tree)
    check_unchanged(protocol, config)
    check_files(protocol, {"--pairs": config.given.pairs, "--splits": config.given.splits})
    return config


def _source(options: BuildOptions, console: Console) -> tuple[str, Path | None]:
    """The source and the file of labels: as given, else those of the build whose build.yaml is the configuration."""
    kept = {} if options.config_file is None else read_yaml(options.config_file, "analyse.crop_size=1024")
    kept_source = kept.get("source") if recorded(kept, *RECORD) is not None else None
    if options.source is None:
        if builds := kept.get(BUILDS):
            raise UserError(
                f"{options.config_file} is of a build that was merged: run "
                f"{shlex.join(['facerefs', 'merge', *map(str, builds), '--out', str(options.out)])}"
            )
        if not isinstance(kept_source, str):
            raise UserError(
                "SOURCE is missing: say where the photos are, or give --config the build.yaml of a build, which says it"
            )
        labels_file = kept.get("labels_file")
        return kept_source, options.labels_file or (Path(labels_file) if labels_file else None)
    if kept_source is not None and kept_source != absolute(options.source):
        console.print(
            f"config      the settings of {options.config_file} were used for {kept_source}; now for {options.source}",
            highlight=False,
        )
    return options.source, options.labels_file


def command_of(options: BuildOptions, retry: Retry) -> list[str]:
    """The words of the command that runs the same build again, with `--retry`."""
    valued = {
        "--config": options.config_file,
        "--engines": options.engines,
        "--labels": options.labels,
        "--identities": options.labels_file,
        "--protocol": options.protocol,
        "--contact": options.contact,
        "--workers": options.workers,
        "--address": options.address,
    }
    words = ["facerefs", "build", *([options.source] if options.source else []), "--out", str(options.out)]
    words += [word for name, value in valued.items() if value is not None for word in (name, str(value))]
    for name, files in (("--pairs", options.pairs), ("--splits", options.splits)):
        words += [word for file in files for word in (name, file)]
    words += [word for setting in options.settings for word in ("--set", setting)]
    words += ["--allow-private-hosts"] if options.allow_private_hosts else []
    return [*words, "--retry", str(retry)]


def _shortcuts(options: BuildOptions) -> dict[str, Any]:
    """The settings that the shortcut options (`--engines`, `--labels`, `--contact` ...) set."""
    tree: dict[str, Any] = {"fetch": {}}
    if options.contact is not None:
        tree["fetch"]["contact"] = options.contact
    if options.allow_private_hosts:
        tree["fetch"]["allow_private_hosts"] = True
    if options.engines is not None:
        if options.engines not in ENGINES:
            raise UserError(f"--engines cannot be {options.engines!r}: choose {' or '.join(ENGINES)}")
        tree["analyse"] = dict(ENGINES[options.engines])
    if options.labels is not None:
        tree["cluster"] = {"labels": options.labels}
    lists = {"pairs": options.pairs, "splits": options.splits}
    if any(lists.values()):
        tree["given"] = {name: [absolute(file) for file in files] for name, files in lists.items() if files}
    return tree


def _check_ca_file(path: str | None) -> None:
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        raise UserError(
            f"fetch.ca_file={path} cannot be read as certificates ({error}): give a PEM file"
        ) from None


def _retry(text: str | None) -> Retry | None:
    try:
        return None if text is None else Retry(text)
    except ValueError:
        raise UserError(f"--retry cannot be {text!r}: choose {' or '.join(Retry)}") from None
