"""One part of `downloads`: which of its URLs are still to be fetched, and how their photos reach the disk."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from facerefs.pipeline.fetch.retry import Retry
from facerefs.pipeline.inputs.fetch import FetchInput
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.journal import Entry
from facerefs.pipeline.storage.lock import be_present
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import DOWNLOADS
from facerefs.stages.fetch import Fetch
from facerefs.stages.fetcher import Download, Fetcher
from facerefs.stages.web.rate_limiter import GateLike
from facerefs.stages.web.stats import Tally

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
    inputs: FetchInput
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
        missing = part.missing()
        self._ended(task.rows - sum(map(len, missing)))
        async with asyncio.TaskGroup() as group:
            for rows in missing:
                group.create_task(self._fetch(rows, part))
        async with self._committing:
            return await asyncio.to_thread(part.commit)

    async def _fetch(self, rows: list[Row], part: "PartInWork") -> None:
        """Fetch a URL for all rows that want it."""
        before = part.before(rows[0]) if self.retry is Retry.ALL else None
        if before is not None and (
            before["reject"] is not None or not is_wanted(before, rows[0], self.stage)
        ):
            before = None

        def keep(download: Download) -> None:
            for row in rows:
                part.note(replace(download, key=row["key"]), before)

        await self._fetcher.fetch(rows[0], keep, before)
        self._ended(len(rows))

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
        part = PartInWork(task, self.inputs.read(task.name).to_pylist(), self.storage)
        part.resume(self.stage, self.retry)
        if self.retry is not Retry.ALL:
            for rows in part.missing():
                for row in rows:
                    before = part.before(row)
                    if before is not None and self._stands(before, row, part):
                        part.take_over(row["key"], before)
        return part

    def _stands(self, before: Row, row: Row, part: "PartInWork") -> bool:
        """Whether what an earlier run found is what this one would find."""
        if before["reject"] is None:
            return is_wanted(before, row, self.stage)
        return part.is_same_question and not Reject(before["reject"]).transient


def is_wanted(before: Row, row: Row, stage: Fetch) -> bool:
    """Whether a photo that was fetched before is one that the row and the settings allow."""
    return (
        before["photo"]["length"] <= stage.max_bytes
        and (row["sha256"] is None or row["sha256"].lower() == before["sha256"])
        and not (stage.respect_robots and before["robots"] == "ignored")
        and not (stage.respect_opt_outs and before["opt_out"] is not None)
    )


class PartInWork:
    """The URLs of a part, what is known of each, and the journal that outlives a kill."""

    def __init__(self, task: FetchTask, rows: list[dict[str, Any]], storage: Storage) -> None:
        self._wanted = {row["key"]: row for row in rows}
        self._task = task
        self._storage = storage
        self._journal = storage.journal("downloads", task.name)
        self._done: dict[str, Entry] = {}
        former = storage.part("downloads", task.name)
        self.is_same_question = former is not None and former.fingerprint == task.fingerprint
        own = storage.rows_in("downloads", task.name, "url", {row["url"] for row in rows})
        self._by_key = {row["key"]: row for row in own}
        others = [
            row
            for name in task.left_over
            for row in storage.rows_in("downloads", name, "url", {row["url"] for row in rows})
        ]
        journals = [row for name in task.left_over for _, row in storage.journal_rows("downloads", name)]
        self._by_url = {row["url"]: row for row in (*others, *journals, *own) if row["reject"] is None}

    def before(self, row: Row) -> Row | None:
        """What an earlier run found for a row, or a photo that it found for another row with the same URL."""
        return self._by_key.get(row["key"]) or self._by_url.get(row["url"])

    def resume(self, stage: Fetch, retry: Retry | None) -> None:
        """Take up the journal of an interrupted run, as far as it answers the question of this one."""
        for entry, row in self._storage.journal_rows("downloads", self._task.name):
            wanted = self._wanted.get(row["key"])
            if wanted is None:
                continue
            same_question = entry.record["question"] == self._task.fingerprint
            if row["reject"] is None:
                stands = same_question or is_wanted(row, wanted, stage)
            else:
                healed = retry is Retry.TRANSIENT and Reject(row["reject"]).transient
                stands = same_question and not healed
            if stands:
                self._done[row["key"]] = entry

    def missing(self) -> list[list[Row]]:
        """Rows whose photos are still to be had; those that want the same are together, to be asked for once."""
        groups: dict[tuple[str, str | None], list[Row]] = {}
        for key, row in self._wanted.items():
            if key not in self._done:
                groups.setdefault((row["url"], row["sha256"]), []).append(row)
        return list(groups.values())

    def note(self, download: Download, before: Row | None) -> None:
        """Write down what became of a URL.

        A photo of before stays if it has not changed, and if only a transient failure says otherwise.
        """
        record = {name: value for name, value in vars(download).items() if name not in _NOT_STORED}
        if before is not None and download.unchanged:
            same = {name: before[name] for name in ("sha256", "content_type")}
            fresh = {name: record[name] or before[name] for name in ("etag", "last_modified")}
            self.take_over(download.key, {**before, **record, **same, **fresh})
        elif before is not None and download.reject is not None and download.reject.transient:
            self.take_over(download.key, before)
        else:
            self._append(record, download.body or b"")

    def take_over(self, key: str, before: Row) -> None:
        """Keep what an earlier run found; the bytes go through the journal, since their part will be replaced."""
        record = {name: value for name, value in before.items() if name != "photo"} | {"key": key}
        data = b"" if before["photo"] is None else self._storage.read_blob(**before["photo"])
        if data is None:
            why = {
                "reject": Reject.UNREADABLE,
                "reject_detail": "the bytes that were fetched before are gone",
            }
            record, data = record | why, b""
        self._append(record, data)

    def commit(self) -> tuple[int, int]:
        """Write the part in the order of its rows; the journal goes when the part is there."""
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
        return len(rows), sum(row["reject"] is not None for row in rows)

    def _append(self, record: dict[str, Any], data: bytes) -> None:
        record["question"] = self._task.fingerprint
        self._done[record["key"]] = self._journal.append(record, data)
