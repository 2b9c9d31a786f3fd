"""What the commands do once their words are understood."""

import os
import ssl
from pathlib import Path
from typing import Any

from rich.console import Console

from facerefs.pipeline.build import overrides
from facerefs.pipeline.build.build import BUILD_FILE, Plan, build, check_output
from facerefs.pipeline.config.config import ENGINES, read_config
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.fetch.retry import Retry
from facerefs.pipeline.runner.progress import StageProgress
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.lock import locked


def build_command(
    source: str,
    out: Path,
    config_file: Path | None,
    settings: list[str],
    engines: str | None,
    labels: str | None,
    labels_file: Path | None,
    update: bool,
    workers: int | None,
    address: str | None,
    verbose: bool,
    contact: str | None = None,
    allow_private_hosts: bool = False,
    retry: str | None = None,
) -> None:
    """Check every word of the user, then build and write the report."""
    from facerefs.stages.sources.resolve import SourceSettings, absolute, open_source
    from facerefs.stages.sources.source import SourceError

    console = Console(soft_wrap=True, markup=False)
    base = _shortcuts(engines, labels, contact, allow_private_hosts)
    config = read_config(config_file, settings, base=base)
    sources = SourceSettings(config.columns, config.commons, config.openverse)
    try:
        photos = open_source(source, labels_file, sources, config.fetch.limits)
    except SourceError as error:
        raise UserError(str(error)) from None
    _check_ca_file(config.fetch.ca_file)
    if photos.service_query is not None and config.fetch.contact is None:
        raise UserError(
            f"{source} is asked from a public service, which wants to know whom to write to: "
            "add --contact with your mail address or the URL of a page about you"
        )
    labels_path = absolute(str(labels_file)) if labels_file else None
    plan = Plan(source=absolute(source), labels_file=labels_path, config=config)
    out = out.absolute()
    _check_not_foreign(out)
    with locked(out):
        storage = Storage(str(out))
        for change in check_output(plan, storage, update):
            console.print(f"changed: {change}", highlight=False)
        ray_workers = RayWorkers(workers or os.cpu_count() or 1, address, verbose)
        try:
            build(photos, plan, storage, ray_workers, console, _retry(retry))
        except KeyboardInterrupt:
            console.print("stopped     nothing is lost: the same command continues", highlight=False)
            raise
        _write_report(storage, out, console)


def report_command(folder: Path) -> None:
    """Write the report of an existing build."""
    storage = open_build(folder)
    with locked(folder):
        _write_report(storage, folder, Console(soft_wrap=True, markup=False))


def verify_command(folder: Path, replay: int) -> bool:
    """Check a training set and print each fault on a line of its own; whether it is sound."""
    from facerefs.pipeline.text import plural
    from facerefs.pipeline.verify.verify import Fault, manifest_of, samples_in, verify

    console = Console(soft_wrap=True, markup=False)
    samples = samples_in(folder)
    manifest = manifest_of(samples)
    if isinstance(manifest, Fault):
        console.print(manifest.line(), highlight=False)
        return False
    with StageProgress(console, "verify", len(manifest.shards), 0, "samples", "faults") as progress:
        faults = verify(samples, manifest, replay, progress.part_done)
    for fault in faults:
        console.print(fault.line(), highlight=False)
    count = sum(shard.samples for shard in manifest.shards)
    size = sum(shard.bytes for shard in manifest.shards) / 1e6
    verdict = f"not sound   {plural(len(faults), 'fault')} in" if faults else "sound      "
    made = min(replay, count)
    replayed = f"; {plural(made, 'degraded face')} made anew, the same" if made and not faults else ""
    held = f"{plural(len(manifest.shards), 'shard')}, {plural(count, 'sample')}, {size:.1f} MB"
    console.print(f"{verdict} {held}{replayed}", highlight=False)
    return _no_shot_twice(folder, console) and not faults


def _no_shot_twice(folder: Path, console: Console) -> bool:
    """Whether no shot is in two splits, which only the tables of a whole build tell; a copy of `samples` has none."""
    from facerefs.pipeline.build.leakage import leakage

    if not (folder / BUILD_FILE).is_file():
        return True
    found = leakage(open_build(folder))
    console.print(f"{'':<11} {found.sentence}", highlight=False)
    return not len(found.faults)


def sample_command(out: Path, identities: int, per_identity: int, size: int, seed: int) -> None:
    """Render people into a new folder."""
    from facerefs.stages.synthetic_people.folder import write_people

    check_new(out)
    console = Console(soft_wrap=True, markup=False)
    total = identities * per_identity
    people = write_people(out, identities, per_identity, size, seed, workers=os.cpu_count() or 1)
    for done, _ in enumerate(people, 1):
        if done % (10 * per_identity) == 0 or done == total:
            console.print(f"rendered    {done}/{total} photos", highlight=False)
    console.print(f"{out} holds {identities} people; try: facerefs build {out} --out BUILD", highlight=False)


def open_build(folder: Path) -> Storage:
    """The storage of a build that is there. Raises UserError if there is none."""
    if not (folder / BUILD_FILE).is_file():
        raise UserError(f"{folder} holds no build: make one with facerefs build SOURCE --out {folder}")
    return Storage(str(folder.absolute()))


def _check_not_foreign(out: Path) -> None:
    """Raise UserError if `out` holds files that are of no build: we would mix ours with them.

    What a person decided of a build that is gone may lie there already.
    """
    if (
        out.is_dir()
        and not (out / BUILD_FILE).exists()
        and any(not path.name.startswith(".") and path.name != overrides.FILE for path in out.iterdir())
    ):
        raise UserError(f"{out} holds other files and no build: choose a new or empty folder for --out")


def check_new(out: Path) -> None:
    """Raise UserError unless `out` is a new or empty folder that can be written."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already: choose a new folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {out} ({error.strerror}): choose another folder") from None


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


def _shortcuts(
    engines: str | None, labels: str | None, contact: str | None, allow_private_hosts: bool
) -> dict[str, Any]:
    tree: dict[str, Any] = {"fetch": {}}
    if contact is not None:
        tree["fetch"]["contact"] = contact
    if allow_private_hosts:
        tree["fetch"]["allow_private_hosts"] = True
    if engines is not None:
        if engines not in ENGINES:
            raise UserError(f"--engines cannot be {engines!r}: choose {' or '.join(ENGINES)}")
        tree["analyse"] = dict(ENGINES[engines])
    if labels is not None:
        tree["cluster"] = {"labels": labels}
    return tree


def _write_report(storage: Storage, out: Path, console: Console) -> None:
    from facerefs.pipeline.report.report import write_report

    write_report(storage)
    console.print(f"report      {out / 'report.html'}", highlight=False)
