"""A whole crawl of servers that misbehave in every way we know: each URL ends with its reason, and in time."""

import csv
import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from facerefs.pipeline.build.listing import list_source
from facerefs.pipeline.fetch.fetch import run_fetch
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.runner.runner import Runner
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from facerefs.stages.crawl import Crawl
from facerefs.stages.fetch import Fetch
from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.lists.url_list import open_url_lists
from tests.hostile_web import BEHAVIOURS, hostile_web

SETTINGS = Fetch(
    allow_private_hosts=True,
    host_rate_per_s=None,
    connections=256,
    backoff_s=0.01,
    host_patience_s=0.5,
    longest_wait_s=2.0,
    connect_timeout_s=1.0,
    idle_timeout_s=1.0,
    total_timeout_s=3.0,
    max_bytes=1 << 20,
    buffer_bytes=32 << 20,
)
LONGEST_S = 60  # of a few seconds that it takes: nothing waits without an end


@pytest.fixture(scope="module")
def ends(ray_for_two: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, str | None]:
    """How the URL of each behaviour ended, by its path."""
    folder = tmp_path_factory.mktemp("hostile")
    with hostile_web() as web:
        with (folder / "list.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("name", "url"), *((path, web.url(path)) for path in BEHAVIOURS)])
        storage = Storage(str(folder / "out"))
        console = Console(file=io.StringIO())
        workers = RayWorkers(1)
        settings = replace(SETTINGS, ca_file=web.ca_file)
        list_source(open_url_lists([str(folder / "list.csv")], ColumnNames()).rows(), 64, storage, console)
        started = time.monotonic()
        run_fetch(settings, storage, workers, console)
        assert time.monotonic() - started < LONGEST_S
    Runner(storage, console, workers).run_parts(Crawl(), CrawlInput(storage))
    paths = {row["key"]: row["label"] for row in storage.scan("sources", ("key", "label")).to_pylist()}
    ends: dict[str | None, str | None] = {}
    for table in ("sources", "downloads", "images"):
        rows = storage.scan(table, ("key", "reject")).to_pylist()
        ends |= {paths[row["key"]]: row["reject"] for row in rows}
    return ends


def test_a_url_without_an_end_is_refused_by_the_list(ends: dict[str | None, str | None]) -> None:
    assert ends[None] == Reject.BAD_ROW  # so it has no label either


@pytest.mark.parametrize("path", [path for path in BEHAVIOURS if path != "/long.jpg"])
def test_each_url_ends_with_its_reason(ends: dict[str | None, str | None], path: str) -> None:
    assert ends[path] == BEHAVIOURS[path].expected
