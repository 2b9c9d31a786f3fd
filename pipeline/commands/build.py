"""`facerefs build`: build a training set and its report from the user's options."""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from facerefs.pipeline.build.build import BuildPlan, build, check_output
from facerefs.pipeline.build.folder import check_not_foreign
from facerefs.pipeline.config.config import ENGINES, read_config
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.fetch.retry import Retry
from facerefs.pipeline.report.report import REPORT_FILE, write_report
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.lock import locked
from facerefs.pipeline.text import shown
from facerefs.stages.sources.resolve import absolute, open_source
from facerefs.stages.sources.source import SourceError


@dataclass(frozen=True)
class BuildOptions:
    """The options of `facerefs build`, not yet checked."""

    source: str
    out: Path
    config_file: Path | None = None
    settings: tuple[str, ...] = ()  # as `analyse.crop_size=1024`
    engines: str | None = None
    labels: str | None = None
    labels_file: Path | None = None
    contact: str | None = None
    allow_private_hosts: bool = False
    retry: str | None = None
    update: bool = False
    workers: int | None = None  # one per core if None
    address: str | None = None
    verbose: bool = False


def build_command(options: BuildOptions, console: Console) -> None:
    """Check the options, then build the training set and write its report. Raises UserError, RunError."""
    config = read_config(options.config_file, options.settings, base=_shortcuts(options))
    try:
        photos = open_source(options.source, options.labels_file, config.sources, config.fetch.limits)
    except SourceError as error:
        raise UserError(str(error)) from None
    _check_ca_file(config.fetch.ca_file)
    if photos.service_query is not None and config.fetch.contact is None:
        raise UserError(
            f"{options.source} is a public service, which requires a contact address: "
            "add --contact with your e-mail address or the URL of a page about you"
        )
    labels_path = absolute(str(options.labels_file)) if options.labels_file else None
    plan = BuildPlan(source=absolute(options.source), labels_file=labels_path, config=config)
    out = options.out.absolute()
    check_not_foreign(out)
    with locked(out):
        storage = Storage(str(out))
        for change in check_output(plan, storage, options.update):
            console.print(f"changed: {change}", highlight=False)
        workers = RayWorkers(options.workers or os.cpu_count() or 1, options.address, options.verbose)
        try:
            build(photos, plan, storage, workers, console, _retry(options.retry))
        except KeyboardInterrupt:
            console.print("stopped     nothing is lost: the same command continues", highlight=False)
            raise
        for note in photos.notes:  # again: what was left out or guessed belongs to the last lines
            console.print(f"source      {shown(note)}", highlight=False)
        write_report(storage)
        console.print(f"report      {out / REPORT_FILE}", highlight=False)


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
