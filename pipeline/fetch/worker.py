"""Fetches the missing URLs of the parts of `downloads`, and commits each part when it is complete."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from facerefs.pipeline.fetch.retry import Retry, Round
from facerefs.pipeline.inputs.fetch import FetchInput
from facerefs.pipeline.storage.blobs import blob_folder
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.journals.journal import JournalEntry
from facerefs.pipeline.storage.journals.part_journals import part_journals
from facerefs.pipeline.storage.lock import hold_worker_lock
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import DOWNLOADS
from facerefs.stages.fetch import Fetch
from facerefs.stages.fetcher import Download, Fetcher
from facerefs.stages.web.rate_limiter import RateLimiter
from facerefs.stages.web.stats import FetchStats

Row = Mapping[str, Any]

MAX_OPEN_ROWS = 2048  # waiting or being fetched: enough that a slow host delays no URLs but its own
_COMMITS_AT_ONCE = 2
_NOT_STORED = frozenset({"body", "unchanged"})


@dataclass(frozen=True)
class FetchTask:
    """One part to fetch."""

    name: str
    fingerprint: str
    rows: int
    old_parts: tuple[str, ...]  # parts of an older list that hold some of its URLs


@dataclass(frozen=True)
class PartResult:
    """What became of a part: its rows, the rejected ones, and those of them that are put off to be tried again."""

    rows: int
    rejected: int
    put_off: int
    failure: str = ""  # the traceback of an unexpected error


@dataclass
class FetchWorker:
    """Fetches the URLs of several parts at the same time, and commits each part when its last URL has ended."""

    stage: Fetch
    inputs: FetchInput
    storage: Storage
    retry: Retry | None

    async def open(self, rate_limiter: RateLimiter) -> None:
        """Prepare to fetch; must run on the event loop that will do the work."""
        self._presence = hold_worker_lock(self.storage.local_path(blob_folder("downloads")))
        self._committing = asyncio.Semaphore(_COMMITS_AT_ONCE)
        self._unfinished = 0
        self._room = asyncio.Event()
        self._fetcher = await Fetcher(self.stage, rate_limiter).__aenter__()

    @property
    def stats(self) -> FetchStats:
        """What was fetched so far."""
        return self._fetcher.stats

    def begin_round(self) -> None:
        """Prepare to try again what was put off."""
        self._fetcher.begin_last_chance()

    async def work(self, task: FetchTask, round_: Round) -> PartResult:
        """Fetch one part and commit it, unless some of its URLs are put off: their turn comes in another round."""
        self._unfinished += task.rows
        part = await asyncio.to_thread(self._open_part, task, round_)
        missing = part.missing()
        self._ended(task.rows - sum(map(len, missing)))
        async with asyncio.TaskGroup() as group:
            for rows in missing:
                group.create_task(self._fetch(rows, part))
        result = part.result()
        if result.put_off and round_ is not Round.LAST:
            part.close()
            return result
        async with self._committing:
            await asyncio.to_thread(part.commit)
        return replace(result, put_off=0)

    async def _fetch(self, rows: list[Row], part: "UnfinishedPart") -> None:
        """Fetch a URL for all rows that have it."""
        previous = part.previous(rows[0]) if self.retry is Retry.ALL else None
        if previous is not None and (
            previous["reject"] is not None or not is_still_allowed(previous, rows[0], self.stage)
        ):
            previous = None

        def keep(download: Download) -> None:
            for row in rows:
                part.record(replace(download, key=row["key"]), previous)

        await self._fetcher.fetch(rows[0], keep, previous)
        self._ended(len(rows))

    async def has_room(self) -> None:
        """Wait until few enough URLs are open that the worker can take another part."""
        while self._unfinished >= MAX_OPEN_ROWS:
            self._room.clear()
            await self._room.wait()

    def _ended(self, rows: int) -> None:
        self._unfinished -= rows
        if self._unfinished < MAX_OPEN_ROWS:
            self._room.set()

    def _open_part(self, task: FetchTask, round_: Round) -> "UnfinishedPart":
        part = UnfinishedPart(task, self.inputs.read(task.name).to_pylist(), self.storage)
        retries = {Round.FIRST: self.retry, Round.AGAIN: Retry.TRANSIENT, Round.LAST: None}
        part.resume(self.stage, retries[round_])
        if self.retry is not Retry.ALL:
            for rows in part.missing():
                for row in rows:
                    previous = part.previous(row)
                    if previous is not None and self._is_still_valid(previous, row, part):
                        part.reuse(row["key"], previous)
        return part

    def _is_still_valid(self, previous: Row, row: Row, part: "UnfinishedPart") -> bool:
        """Whether the result of an earlier run is still valid under the settings of this one."""
        if previous["reject"] is None:
            return is_still_allowed(previous, row, self.stage)
        return part.has_same_fingerprint and not Reject(previous["reject"]).transient


def is_still_allowed(previous: Row, row: Row, stage: Fetch) -> bool:
    """Whether the row and the settings still allow a photo that an earlier run has fetched."""
    return (
        previous["photo"]["length"] <= stage.max_bytes
        and (row["sha256"] is None or row["sha256"].lower() == previous["sha256"])
        and not (stage.respect_robots and previous["robots"] == "ignored")
        and not (stage.respect_opt_outs and previous["opt_out"] is not None)
    )


class UnfinishedPart:
    """The URLs of a part, the results for each so far, and the journal that keeps them if the process is killed."""

    def __init__(self, task: FetchTask, rows: list[dict[str, Any]], storage: Storage) -> None:
        self._wanted = {row["key"]: row for row in rows}
        self._task = task
        self._storage = storage
        self._journals = part_journals(storage)
        self._journal = self._journals.journal(task.name)
        self._done: dict[str, JournalEntry] = {}
        self._put_off: dict[str, dict[str, Any]] = {}  # results that another attempt may heal
        former = storage.part("downloads", task.name)
        self.has_same_fingerprint = former is not None and former.fingerprint == task.fingerprint
        own = storage.rows_in("downloads", task.name, "url", {row["url"] for row in rows})
        self._by_key = {row["key"]: row for row in own}
        others = [
            row
            for name in task.old_parts
            for row in storage.rows_in("downloads", name, "url", {row["url"] for row in rows})
        ]
        journals = [row for name in task.old_parts for _, row in self._journals.rows(name)]
        self._by_url = {row["url"]: row for row in (*others, *journals, *own) if row["reject"] is None}

    def previous(self, row: Row) -> Row | None:
        """The result of an earlier run for a row, or else an accepted one for another row with the same URL."""
        return self._by_key.get(row["key"]) or self._by_url.get(row["url"])

    def resume(self, stage: Fetch, retry: Retry | None) -> None:
        """Load the results in the journal of an interrupted run that are still valid under these settings."""
        for entry, row in self._journals.rows(self._task.name):
            wanted = self._wanted.get(row["key"])
            if wanted is None:
                continue
            same_fingerprint = entry.record["question"] == self._task.fingerprint
            if row["reject"] is None:
                is_valid = same_fingerprint or is_still_allowed(row, wanted, stage)
            else:
                healed = retry is Retry.TRANSIENT and Reject(row["reject"]).transient
                is_valid = same_fingerprint and not healed
            if is_valid:
                self._done[row["key"]] = entry
                self._put_off.pop(row["key"], None)
            elif same_fingerprint:
                self._put_off[row["key"]] = entry.record

    def missing(self) -> list[list[Row]]:
        """Rows without a result, grouped by URL and expected hash, so that each group is fetched once."""
        groups: dict[tuple[str, str | None], list[Row]] = {}
        for key, row in self._wanted.items():
            if key not in self._done:
                groups.setdefault((row["url"], row["sha256"]), []).append(row)
        return list(groups.values())

    def record(self, download: Download, previous: Row | None) -> None:
        """Write the result for a URL into the journal.

        A photo of an earlier run is kept if it has not changed, and if fetching it again failed for a transient reason.
        """
        record = {name: value for name, value in vars(download).items() if name not in _NOT_STORED}
        if previous is not None and download.unchanged:
            same = {name: previous[name] for name in ("sha256", "content_type")}
            fresh = {name: record[name] or previous[name] for name in ("etag", "last_modified")}
            self.reuse(download.key, {**previous, **record, **same, **fresh})
        elif previous is not None and download.reject is not None and download.reject.transient:
            self.reuse(download.key, previous)
        elif download.reject is Reject.HOST_DOWN and download.key in self._put_off:
            self._append(self._put_off[download.key], b"")  # why it failed itself says more
        else:
            self._append(record, download.body or b"")

    def reuse(self, key: str, previous: Row) -> None:
        """Keep the result of an earlier run; its bytes are copied to the journal, since their part will be replaced."""
        record = {name: value for name, value in previous.items() if name != "photo"} | {"key": key}
        data = b"" if previous["photo"] is None else self._storage.read_blob(**previous["photo"])
        if data is None:
            why = {
                "reject": Reject.UNREADABLE,
                "reject_detail": "the bytes that were fetched before are gone",
            }
            record, data = record | why, b""
        self._append(record, data)

    def result(self) -> PartResult:
        """How many rows there are, are rejected, and are rejected for a reason that may heal."""
        rejects = [
            entry.record["reject"] for entry in self._done.values() if entry.record["reject"] is not None
        ]
        return PartResult(len(self._done), len(rejects), sum(Reject(reason).transient for reason in rejects))

    def close(self) -> None:
        """Leave the part unfinished: its journal stays."""
        self._journal.close()

    def commit(self) -> None:
        """Write the part, then remove its journal."""
        done = [self._done[key] for key in self._wanted]
        # Each photo has its own SHA-256 in its row: one of the whole tar would only cost time.
        writing = self._storage.writing("downloads", self._task.name, self._task.fingerprint, digest=False)
        with writing as part, self._journal.opened() as read:
            rows = [entry.record | {"photo": None} for entry in done]
            for row, entry in zip(rows, done, strict=True):
                if row["reject"] is None:
                    row["photo"] = part.put("photo", read(entry))
            part.add(pa.Table.from_pylist(rows, DOWNLOADS))
        self._journal.remove()

    def _append(self, record: dict[str, Any], data: bytes) -> None:
        record["question"] = self._task.fingerprint
        self._done[record["key"]] = self._journal.append(record, data)
