"""Brings the table `downloads` up to date: fetches what is missing, and never what is there."""

import json
from collections.abc import Iterator, Sequence

from rich.console import Console

from facerefs.pipeline.fetch.actors import fetch_parts
from facerefs.pipeline.fetch.retry import Retry
from facerefs.pipeline.fetch.worker import FetchTask, FetchWorker
from facerefs.pipeline.inputs.fetch import FetchInput
from facerefs.pipeline.runner.progress import StageProgress
from facerefs.pipeline.runner.workers import Workers
from facerefs.pipeline.storage.fingerprint import changed_settings, rows_digest, text_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.lock import wait_until_alone
from facerefs.schemas.reject import Reject
from facerefs.stages.fetch import Fetch
from facerefs.stages.web.stats import Tally

_REASONS_SHOWN = 6
_SLOW_HOSTS_SHOWN = 3


def run_fetch(
    stage: Fetch, storage: Storage, workers: Workers, console: Console, retry: Retry | None = None
) -> None:
    """Fetch the URLs of the source, part by part; parts of an older list give their photos to the new ones."""
    inputs = FetchInput(storage)
    names = list(inputs.names())
    left_over = sorted((storage.remains("downloads") | storage.journals("downloads")) - set(names))
    if not names and not left_over:
        return  # photos that lie somewhere else than on the web
    wait_until_alone(storage.local_path("downloads"))
    tasks = list(_tasks(stage, inputs, names, left_over, retry))
    with StageProgress(console, "fetch", len(tasks), len(names) - len(tasks)) as progress:
        if tasks:
            worker = FetchWorker(stage, inputs, storage, retry)
            for rows, rejected in fetch_parts(
                worker, tasks, workers, lambda tally: progress.say(_lines(tally, progress.seconds))
            ):
                progress.part_done(rows, rejected)
    for name in left_over:
        storage.remove_part("downloads", name)
    storage.remove_journals("downloads")


def _tasks(
    stage: Fetch, inputs: FetchInput, names: Sequence[str], left_over: Sequence[str], retry: Retry | None
) -> Iterator[FetchTask]:
    changed = changed_settings(stage)
    rules = {name: changed[name] for name in Fetch.rules if name in changed}
    storage, question = inputs.storage, json.dumps([stage.version, rules])
    holder = {url: name for name in left_over for url in _urls(storage, name)}
    journals = storage.journals("downloads")
    for name in names:
        rows = inputs.read(name)
        fingerprint = text_digest(question, rows_digest(rows))
        done = storage.part("downloads", name)
        is_done = done is not None and done.fingerprint == fingerprint and name not in journals
        if is_done and not _is_retried(storage, name, retry):
            continue
        holders = {holder[url] for url in rows.column("url").to_pylist() if url in holder}
        yield FetchTask(name, fingerprint, len(rows), tuple(sorted(holders)))


def _urls(storage: Storage, name: str) -> Iterator[str]:
    """The URLs of a part that is there, or of which the journal of an interrupted run is."""
    if storage.part("downloads", name) is not None:
        yield from storage.read("downloads", name, ("url",)).column("url").to_pylist()
    yield from (row["url"] for _, row in storage.journal_rows("downloads", name))


def _is_retried(storage: Storage, name: str, retry: Retry | None) -> bool:
    if retry is Retry.TRANSIENT:
        reasons = storage.read("downloads", name, ("reject",)).column("reject").to_pylist()
        return any(Reject(reason).transient for reason in reasons if reason is not None)
    return retry is Retry.ALL


def _lines(tally: Tally, seconds: float) -> list[str]:
    """How a crawl goes: speed, reasons, and the hosts that one waits for."""
    lines = [f"{tally.photos / seconds:.1f} images/s, {tally.bytes / 1e6 / seconds:.2f} MB/s"]
    if tally.reasons:
        most = tally.reasons.most_common(_REASONS_SHOWN)
        lines.append("rejected: " + ", ".join(f"{reason} {count}" for reason, count in most))
    if tally.hosts:
        hosts = sorted(tally.hosts.items(), key=lambda item: item[1].mean_s, reverse=True)
        lines.append(
            "slowest hosts: "
            + ", ".join(
                f"{host} {times.mean_s:.2f} s x {times.requests}" for host, times in hosts[:_SLOW_HOSTS_SHOWN]
            )
        )
    return lines
