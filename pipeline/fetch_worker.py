"""One part of `downloads`: which of its URLs are still to be fetched, and how their photos reach the disk."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.inputs import ListedUrls
from pipeline.journal import Entry, Journal
from pipeline.lock import be_present
from pipeline.retry import Retry
from pipeline.storage import Storage
from schemas.reject import Reject
from schemas.tables import DOWNLOADS
from stages.fetch import Fetch
from stages.web.fetcher import Download, Fetcher
from stages.web.gate import GateLike
from stages.web.tally import Tally

Row = Mapping[str, Any]

ROWS_OPEN = 2048  # that wait or are fetched: enough that a slow host holds up none but its own URLs
_COMMITS_AT_ONCE = 2
_NOT_STORED = frozenset({"body", "unchanged"})


@dataclass(frozen=True)
class FetchTask:
    """One part to do."""

    name: str
    fingerprint: str
    rows: int
    left_over: tuple[str, ...]  # parts of an older list that hold some of its URLs


@dataclass
class FetchWorker:
    """Fetches the URLs of several parts at the same time, and commits each part when its last URL has ended."""

    stage: Fetch
    inputs: ListedUrls
    storage: Storage
    retry: Retry | None

    async def open(self, gate: GateLike) -> None:
        """Get ready, on the event loop that will do the work."""
        self._presence = be_present(self.storage.local_path("downloads"))
        self._committing = asyncio.Semaphore(_COMMITS_AT_ONCE)
        self._unfinished = 0
        self._room = asyncio.Event()
        self._fetcher = await Fetcher(self.stage, gate).__aenter__()

    @property
    def tally(self) -> Tally:
        """What was fetched so far."""
        return self._fetcher.tally

    async def work(self, task: FetchTask) -> tuple[int, int]:
        """Do one part and commit it; returns its rows and how many of them are rejected."""
        self._unfinished += task.rows
        part = await asyncio.to_thread(self._open_part, task)
        missing = list(part.missing())
        self._ended(task.rows - len(missing))
        async with asyncio.TaskGroup() as group:
            for row in missing:
                group.create_task(self._fetch(row, part))
        async with self._committing:
            return await asyncio.to_thread(part.commit)

    async def _fetch(self, row: Row, part: "PartInWork") -> None:
        before = part.before.get(row["url"]) if self.retry is Retry.ALL else None
        if before is not None and before["reject"] is not None:
            before = None
        await self._fetcher.fetch(row, lambda download: part.note(download, before), before)
        self._ended(1)

    async def has_room(self) -> None:
        """Wait until few enough URLs are left that another part is welcome."""
        while self._unfinished >= ROWS_OPEN:
            self._room.clear()
            await self._room.wait()

    def _ended(self, rows: int) -> None:
        self._unfinished -= rows
        if self._unfinished < ROWS_OPEN:
            self._room.set()

    def _open_part(self, task: FetchTask) -> "PartInWork":
        part = PartInWork(task, self.inputs.read(task.name).to_pylist(), self.storage, self.retry)
        for row in list(part.missing()):
            before = part.before.get(row["url"])
            if before is not None and self._stands(before, row, task):
                part.take_over(row["key"], before)
        return part

    def _stands(self, before: Row, row: Row, task: FetchTask) -> bool:
        """Whether what an earlier run found is what this one would find."""
        if self.retry is Retry.ALL:
            return False
        if before["reject"] is not None:
            done = self.storage.part("downloads", task.name)
            same_question = done is not None and done.fingerprint == task.fingerprint
            return same_question and not Reject(before["reject"]).transient
        return (
            (before["photo"]["length"] <= self.stage.max_bytes)
            and (row["sha256"] is None or row["sha256"].lower() == before["sha256"])
            and not (self.stage.respect_robots and before["robots"] == "ignored")
            and not (self.stage.respect_opt_outs and before["opt_out"] is not None)
        )


class PartInWork:
    """The URLs of a part, what is known of each, and the journal that outlives a kill."""

    def __init__(
        self, task: FetchTask, rows: list[dict[str, Any]], storage: Storage, retry: Retry | None
    ) -> None:
        self.wanted = {row["key"]: row for row in rows}
        self._task = task
        self._storage = storage
        self._journal = Journal(storage.local_path(f"downloads/{task.name}.journal"))
        entries = {entry.record["key"]: entry for entry in self._journal.entries()}
        self._done = {key: entry for key, entry in entries.items() if not _is_retried(entry, retry)}
        self.before = {
            row["url"]: row
            for name in (*task.left_over, task.name)
            if storage.part("downloads", name)
            for row in storage.read("downloads", name).to_pylist()
        }

    def missing(self) -> Iterator[Row]:
        """Rows whose URLs are still to be fetched."""
        return (row for key, row in self.wanted.items() if key not in self._done)

    def note(self, download: Download, before: Row | None) -> None:
        """Write down what became of a URL; if the photo has not changed, its bytes are those of before."""
        if download.unchanged and before is not None:
            now = {"fetched_at": download.fetched_at, "status": download.status}
            self.take_over(download.key, {**before, **now})
            return
        record = {name: value for name, value in vars(download).items() if name not in _NOT_STORED}
        self._done[download.key] = self._journal.append(record, download.body or b"")

    def take_over(self, key: str, before: Row) -> None:
        """Keep what an earlier run found; the bytes go through the journal, since their part will be replaced."""
        record = {name: value for name, value in before.items() if name != "photo"} | {"key": key}
        data = b""
        if before["photo"] is not None:
            found = self._storage.read_blob(**before["photo"])
            if found is None:
                return  # its tar is damaged: fetched again
            data = found
        self._done[key] = self._journal.append(record, data)

    def commit(self) -> tuple[int, int]:
        """Write the part in the order of its rows; the journal goes when the part is there."""
        done = [self._done[key] for key in self.wanted]
        # Each photo has its own SHA-256 in its row: one of the whole tar would only cost time.
        writing = self._storage.writing("downloads", self._task.name, self._task.fingerprint, digest=False)
        with writing as part, self._journal.opened() as read:
            rows = [entry.record | {"photo": None} for entry in done]
            for row, entry in zip(rows, done, strict=True):
                if row["reject"] is None:
                    row["photo"] = part.put("photo", read(entry))
            part.add(pa.Table.from_pylist(rows, DOWNLOADS))
        self._journal.remove()
        return len(rows), sum(row["reject"] is not None for row in rows)


def _is_retried(entry: Entry, retry: Retry | None) -> bool:
    reject = entry.record["reject"]
    return retry is Retry.TRANSIENT and reject is not None and Reject(reject).transient
