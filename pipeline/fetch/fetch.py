"""Updates the table `downloads`: fetches the missing photos only."""

from collections.abc import Iterator, Sequence

from rich.console import Console

from facerefs.pipeline.fetch.actors import FetchDisplay, fetch_parts
from facerefs.pipeline.fetch.retry import Retry
from facerefs.pipeline.fetch.worker import FetchTask, FetchWorker
from facerefs.pipeline.inputs.fetch import FetchInput, download_fingerprint
from facerefs.pipeline.runner.progress import BuildWatch, StageProgress
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.blobs import blob_folder
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.journals.part_journals import part_journals
from facerefs.pipeline.storage.lock import wait_for_workers
from facerefs.pipeline.text import plural
from facerefs.schemas.reject import Reject
from facerefs.stages.fetch import Fetch
from facerefs.stages.web.stats import FetchStats

_REASONS_SHOWN = 6
_SLOW_HOSTS_SHOWN = 3


def run_fetch(
    stage: Fetch,
    storage: Storage,
    workers: RayWorkers,
    console: Console,
    retry: Retry | None = None,
    watch: BuildWatch | None = None,
) -> None:
    """Fetch the URLs of the source, part by part; parts of an older list give their photos to the new ones."""
    inputs = FetchInput(storage)
    names = list(inputs.names())
    journals = part_journals(storage)
    old_parts = sorted((storage.started_parts("downloads") | journals.parts()) - set(names))
    if not names and not old_parts:
        return  # no photo of the source is on the web
    wait_for_workers(storage.local_path(blob_folder("downloads")))
    tasks = list(_tasks(stage, inputs, names, old_parts, retry))
    with StageProgress(console, "fetch", len(tasks), len(names) - len(tasks), watch=watch) as progress:
        if tasks:
            progress.rows_to_do = sum(task.rows for task in tasks)
            worker = FetchWorker(stage, inputs, storage, retry)
            display = FetchDisplay(
                watch=lambda stats: progress.set_details(_lines(stats, progress.seconds), stats.ended),
                tries_again=lambda count: progress.say(_tries_again(count, stage)),
            )
            for result in fetch_parts(worker, tasks, workers, display):
                if result.rows:
                    progress.part_done(result.rows, result.rejected)
                else:
                    progress.rows_listed(0, result.rejected)
    for name in old_parts:
        storage.remove_part("downloads", name)
    journals.remove_all()


def _tasks(
    stage: Fetch, inputs: FetchInput, names: Sequence[str], old_parts: Sequence[str], retry: Retry | None
) -> Iterator[FetchTask]:
    storage = inputs.storage
    holder = {url: name for name in old_parts for url in _urls(storage, name)}
    interrupted = part_journals(storage).parts()
    for name in names:
        rows = inputs.read(name)
        fingerprint = download_fingerprint(stage, rows)
        done = storage.part("downloads", name)
        is_done = done is not None and done.fingerprint == fingerprint and name not in interrupted
        if is_done and not _is_retried(storage, name, retry):
            continue
        holders = {holder[url] for url in rows.column("url").to_pylist() if url in holder}
        yield FetchTask(name, fingerprint, len(rows), tuple(sorted(holders)))


def _tries_again(count: int, stage: Fetch) -> str:
    return (
        f"{plural(count, 'URL')} failed for reasons that may heal: tried again now. A host that does not answer is "
        f"waited for, {stage.host_patience_s:g} s at most"
    )


def _urls(storage: Storage, name: str) -> Iterator[str]:
    """The URLs of a part: those of its finished table, and those in the journal of an interrupted run."""
    if storage.part("downloads", name) is not None:
        yield from storage.read("downloads", name, ("url",)).column("url").to_pylist()
    yield from (row["url"] for _, row in part_journals(storage).rows(name))


def _is_retried(storage: Storage, name: str, retry: Retry | None) -> bool:
    if retry is Retry.TRANSIENT:
        reasons = storage.read("downloads", name, ("reject",)).column("reject").to_pylist()
        return any(Reject(reason).transient for reason in reasons if reason is not None)
    return retry is Retry.ALL


def _lines(stats: FetchStats, seconds: float) -> list[str]:
    """Lines below the progress line: speed, reject reasons, and the slowest hosts."""
    lines = [f"{stats.photos / seconds:.1f} images/s, {stats.bytes / 1e6 / seconds:.2f} MB/s"]
    if stats.reasons:
        most = stats.reasons.most_common(_REASONS_SHOWN)
        lines.append("rejected: " + ", ".join(f"{reason} {count}" for reason, count in most))
    if stats.hosts:
        hosts = sorted(stats.hosts.items(), key=lambda item: item[1].mean_s, reverse=True)
        lines.append(
            "slowest hosts: "
            + ", ".join(
                f"{host} {times.mean_s:.2f} s x {times.requests}" for host, times in hosts[:_SLOW_HOSTS_SHOWN]
            )
        )
    return lines
