"""Fetching on real Ray from real servers on loopback: every URL ends as a row, and nothing is fetched twice."""

import csv
import io
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from facerefs.pipeline.build.listing import list_source
from facerefs.pipeline.fetch.fetch import run_fetch
from facerefs.pipeline.fetch.retry import Retry
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.journals.part_journals import PartJournals
from facerefs.schemas.reject import Reject
from facerefs.stages.fetch import Fetch
from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.lists.url_list import open_url_lists
from tests.photo_server import PhotoServer, photo_server
from tests.pipeline.folders import contents

QUICK = Fetch(
    allow_private_hosts=True,
    host_rate_per_s=None,
    host_connections=16,
    backoff_s=0.01,
    host_patience_s=0.5,
    connect_timeout_s=2,
    idle_timeout_s=2,
    total_timeout_s=4,
)
PHOTOS = 60

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_for_two")]


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[PhotoServer]:
    with photo_server(hosts=3) as running:
        running.photos = {f"/{i:03d}.jpg": jpeg(i) for i in range(PHOTOS)}
        yield running


def write_list(path: Path, urls: list[str], person: str = "Person") -> Path:
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["name", "url"])
        lines.writerows([f"{person} {i // 10}", url] for i, url in enumerate(urls))
    return path


def fetch(
    out: Path,
    urls: list[str],
    settings: Fetch = QUICK,
    retry: Retry | None = None,
    workers: int = 1,
    rows_per_part: int = 8,
) -> str:
    storage = Storage(str(out))
    console = Console(record=True, width=300, file=io.StringIO())
    source = open_url_lists([str(write_list(out.with_suffix(".csv"), urls))], ColumnNames())
    list_source(source.rows(), rows_per_part, storage, console)
    run_fetch(settings, storage, RayWorkers(workers), console, retry)
    return console.export_text()


def rows(out: Path) -> dict[str, dict[str, Any]]:
    return {row["url"]: row for row in Storage(str(out)).scan("downloads").to_pylist()}


def photos(out: Path) -> dict[str, bytes | None]:
    storage = Storage(str(out))
    return {url: storage.read_blob(**row["photo"]) for url, row in rows(out).items() if row["photo"]}


def all_urls(server: PhotoServer) -> list[str]:
    return [server.url(path, f"127.0.0.{1 + i % 3}") for i, path in enumerate(server.photos)]


def downloaded_tars(out: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(out / "blobs/downloads").items() if name.endswith("tar")}


def test_photos_reach_the_disk_as_they_were_sent_by_one_or_two_workers(
    tmp_path: Path, server: PhotoServer
) -> None:
    urls = all_urls(server)
    output = fetch(tmp_path / "out", urls, workers=2)
    assert photos(tmp_path / "out") == {url: server.photos["/" + url.rpartition("/")[2]] for url in urls}
    row = rows(tmp_path / "out")[urls[0]]
    assert (row["status"], row["attempts"], row["robots"], row["final_url"]) == (200, 1, "none", urls[0])
    assert row["reject"] is None
    assert f"{PHOTOS} rows" in output
    assert "images/s" in output
    assert "slowest hosts: 127.0.0." in output
    assert all("facerefs" in agent for agent in server.agents)
    fetch(tmp_path / "one", urls, workers=1)
    assert downloaded_tars(tmp_path / "one") == downloaded_tars(tmp_path / "out")


def test_a_longer_list_fetches_only_what_is_new(tmp_path: Path, server: PhotoServer) -> None:
    urls = all_urls(server)
    fetch(tmp_path / "out", urls[:-5])
    assert server.photo_requests == PHOTOS - 5
    fetch(tmp_path / "out", [urls[-1], *urls[:-1]])  # which shifts the names of others too
    assert server.photo_requests == PHOTOS
    assert photos(tmp_path / "out").keys() == set(urls)
    fetch(tmp_path / "out", urls[:7])
    assert server.photo_requests == PHOTOS
    assert photos(tmp_path / "out").keys() == set(urls[:7])


def test_retry_transient_asks_only_for_what_may_have_healed(tmp_path: Path, server: PhotoServer) -> None:
    urls = all_urls(server)
    server.statuses = {"/003.jpg": 503, "/007.jpg": 404}
    fetch(tmp_path / "out", urls)
    assert {row["reject"] for row in rows(tmp_path / "out").values()} == {
        None,
        Reject.SERVER_ERROR,
        Reject.NOT_FOUND,
    }
    server.statuses = {}
    server.requests.clear()
    fetch(tmp_path / "out", urls)
    assert server.photo_requests == 0
    fetch(tmp_path / "out", urls, retry=Retry.TRANSIENT)
    assert {path: count for path, count in server.requests.items() if path.endswith("jpg")} == {"/003.jpg": 1}
    assert len(photos(tmp_path / "out")) == PHOTOS - 1


def test_retry_all_downloads_only_what_has_changed(tmp_path: Path, server: PhotoServer) -> None:
    urls = all_urls(server)
    fetch(tmp_path / "out", urls)
    server.photos_sent.clear()
    server.photos["/005.jpg"] = jpeg(1000)
    server.statuses["/006.jpg"] = 410
    fetch(tmp_path / "out", urls, retry=Retry.ALL)
    assert server.photos_sent == {"/005.jpg": 1}
    kept = photos(tmp_path / "out")
    assert kept[urls[5]] == jpeg(1000)
    assert kept[urls[4]] == server.photos["/004.jpg"]
    assert rows(tmp_path / "out")[urls[6]]["reject"] == Reject.NOT_FOUND


def test_retry_all_keeps_photos_of_a_host_that_is_down(tmp_path: Path, server: PhotoServer) -> None:
    urls = all_urls(server)[:6]
    fetch(tmp_path / "out", urls)
    server.statuses = dict.fromkeys(server.photos, 503)
    fetch(tmp_path / "out", urls, retry=Retry.ALL)
    assert photos(tmp_path / "out").keys() == set(urls)
    assert {row["status"] for row in rows(tmp_path / "out").values()} == {200}


def test_a_host_that_asks_for_a_long_wait_is_not_asked_again(tmp_path: Path, server: PhotoServer) -> None:
    server.statuses = dict.fromkeys(server.photos, 429)
    server.headers = {path: {"Retry-After": "3600"} for path in server.photos}
    urls = [server.url(path) for path in server.photos]
    fetch(tmp_path / "out", urls, replace(QUICK, host_connections=2))
    assert server.photo_requests <= 4
    reasons = [row["reject"] for row in rows(tmp_path / "out").values()]
    assert set(reasons) == {Reject.RATE_LIMITED, Reject.HOST_DOWN}


def test_a_busy_host_without_retry_after_is_given_pauses(tmp_path: Path, server: PhotoServer) -> None:
    server.statuses = dict.fromkeys(server.photos, 429)
    urls = [server.url(path) for path in server.photos]
    fetch(tmp_path / "out", urls, replace(QUICK, host_connections=2, backoff_s=0.1, host_failures=5))
    assert server.photo_requests <= 5 + 2 + 5  # the last: some more when nothing else is left to do
    assert server.times[-1] - server.times[0] > 0.2


def test_one_url_of_several_names_is_asked_for_once(tmp_path: Path, server: PhotoServer) -> None:
    urls = [server.url("/000.jpg")] * 15  # two names: "Person 0" and "Person 1"
    fetch(tmp_path / "out", urls, rows_per_part=64)
    assert server.requests["/000.jpg"] == 1
    table = Storage(str(tmp_path / "out")).scan("downloads").to_pylist()
    assert len(table) == 2
    assert all(row["photo"] is not None for row in table)


def test_a_journal_is_used_only_as_far_as_it_is_valid_for_the_same_settings(
    tmp_path: Path, server: PhotoServer
) -> None:
    out, urls = tmp_path / "out", all_urls(server)[:6]
    fetch(out, urls, rows_per_part=64)
    (name,) = Storage(str(out)).parts("downloads")
    known = {row["key"]: row for row in Storage(str(out)).scan("downloads").to_pylist()}
    shutil.rmtree(out / "downloads")
    journal = PartJournals(out / "blobs/downloads").journal(name)
    records = [{**row, "photo": None, "question": "another"} for row in known.values()]
    journal.append({**records[0], "reject": "private_address"}, b"")
    journal.append({**records[1], "robots": "ignored"}, b"another photo")
    journal.append(records[2], b"a photo that was fetched before")
    with journal.path.open("ab") as file:
        file.write(bytes(100))  # as a loss of power leaves it
    fetch(out, urls, rows_per_part=64)
    found = photos(out)
    assert found.pop(records[2]["url"]) == b"a photo that was fetched before"
    assert found == {url: server.photos["/" + url.rpartition("/")[2]] for url in found}
    assert len(found) == 5


def test_what_was_fetched_before_a_list_changed_is_not_fetched_again(
    tmp_path: Path, server: PhotoServer
) -> None:
    out, urls = tmp_path / "out", all_urls(server)[:6]
    fetch(out, urls, rows_per_part=64)
    storage = Storage(str(out))
    (name,) = storage.parts("downloads")
    kept = storage.scan("downloads").to_pylist()
    data = [storage.read_blob(**row["photo"]) for row in kept]
    shutil.rmtree(out / "downloads")
    for row, photo in zip(kept, data, strict=True):
        PartJournals(out / "blobs/downloads").journal(name).append(
            {**row, "photo": None, "question": "?"}, photo or b""
        )
    server.requests.clear()
    fetch(out, [*urls, server.url("/059.jpg")], rows_per_part=64)
    assert {path for path in server.requests if path.endswith("jpg")} == {"/059.jpg"}
    assert len(photos(out)) == 7


def test_opt_outs_are_noted_even_where_they_are_not_honoured(tmp_path: Path, server: PhotoServer) -> None:
    rules = [{"location": "/*", "tdm-reservation": 1}]
    server.photos["/.well-known/tdmrep.json"] = json.dumps(rules).encode()
    urls = [server.url("/000.jpg")]
    fetch(tmp_path / "out", urls, replace(QUICK, respect_opt_outs=False))
    assert rows(tmp_path / "out")[urls[0]]["reject"] is None
    fetch(tmp_path / "out", urls)
    assert rows(tmp_path / "out")[urls[0]]["reject"] == Reject.OPT_OUT


def test_robots_and_opt_outs_are_honoured_and_recorded(tmp_path: Path, server: PhotoServer) -> None:
    server.robots = "User-agent: *\nDisallow: /000.jpg\n"
    server.headers["/001.jpg"] = {"X-Robots-Tag": "noai"}
    urls = [server.url(path) for path in ("/000.jpg", "/001.jpg", "/002.jpg")]
    fetch(tmp_path / "out", urls)
    found = rows(tmp_path / "out")
    assert [found[url]["reject"] for url in urls] == [Reject.ROBOTS, Reject.OPT_OUT, None]
    assert server.requests["/000.jpg"] == 0
    assert found[urls[1]]["opt_out"] == "X-Robots-Tag: noai"
    assert [found[url]["robots"] for url in urls] == ["disallowed", "allowed", "allowed"]


def test_the_limits_of_a_host_hold_for_all_workers_together(tmp_path: Path, server: PhotoServer) -> None:
    urls = [server.url(path) for path in server.photos]
    server.delays_s = dict.fromkeys(server.photos, 0.02)
    fetch(tmp_path / "at_once", urls, replace(QUICK, host_connections=2), workers=2)
    assert server.most_at_once == 2
    server.times.clear()
    fetch(tmp_path / "rate", urls, replace(QUICK, host_rate_per_s=20.0), workers=2)
    times = sorted(server.times)
    assert len(times) >= PHOTOS
    for i, start in enumerate(times):  # 2 more than the rate may come at once, and a few were on their way
        assert sum(time < start + 1.0 for time in times[i:]) <= 20 + 2 + 3


def test_a_dead_host_does_not_hold_up_the_others(tmp_path: Path, server: PhotoServer) -> None:
    good = [server.url(path) for path in server.photos]
    dead = [f"http://127.0.0.77:9/{i}.jpg" for i in range(300)]
    started = time.monotonic()
    fetch(tmp_path / "out", [*dead, *good], replace(QUICK, backoff_s=0.1))
    assert (
        time.monotonic() - started < 30
    )  # of 300 connections that are refused, and their waits, few are made
    found = rows(tmp_path / "out")
    assert {found[url]["reject"] for url in dead} <= {Reject.CONNECT_FAILED, Reject.HOST_DOWN}
    assert {found[url]["reject"] for url in good} == {None}


def _one_in_twenty() -> Callable[[int], int | None]:
    rng = random.Random(7)
    return lambda nth: 503 if rng.random() < 0.05 else None


@pytest.mark.parametrize(
    "failing",
    [
        _one_in_twenty(),
        lambda nth: 503 if nth <= 12 else None,  # robots.txt first of all
        lambda nth: 500 if 20 <= nth < 50 else None,
        lambda nth: 429 if nth % 3 == 0 else None,
    ],
    ids=["503 to 5 %", "503 to the first 12", "a burst of 500", "429 to every third"],
)
def test_no_photo_is_lost_to_a_host_that_is_busy_at_times(
    tmp_path: Path, server: PhotoServer, failing: Callable[[int], int | None]
) -> None:
    server.failing = failing
    urls = [server.url(path) for path in server.photos]
    fetch(tmp_path / "out", urls, replace(QUICK, host_patience_s=5.0))
    assert len(photos(tmp_path / "out")) == PHOTOS
    assert server.photo_requests < 2 * PHOTOS


def test_a_host_that_is_down_for_a_while_is_waited_for_at_the_end(
    tmp_path: Path, server: PhotoServer
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.9", 0))
        port = free.getsockname()[1]
    away = [f"http://127.0.0.1:{port}/{i:03d}.jpg" for i in range(PHOTOS)]

    def come_back() -> None:
        while not list((tmp_path / "out" / "blobs" / "downloads").glob("*.journal")) and not done.wait(0.05):
            """Nothing has failed yet."""
        done.wait(2.0)
        with photo_server(port=port) as back:
            back.photos = server.photos
            done.wait(60)

    done = threading.Event()
    host = threading.Thread(target=come_back)
    host.start()
    try:
        output = fetch(tmp_path / "out", away, replace(QUICK, host_patience_s=20.0, host_connections=2))
    finally:
        done.set()
        host.join()
    assert len(photos(tmp_path / "out")) == PHOTOS
    assert "tried again now" in output


def test_a_dead_port_of_a_host_costs_its_other_ports_nothing(tmp_path: Path, server: PhotoServer) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        dead = [f"http://127.0.0.1:{silent.getsockname()[1]}/{i}.jpg" for i in range(PHOTOS)]
        good = [server.url(path) for path in server.photos]
        mixed = [url for pair in zip(dead, good, strict=True) for url in pair]
        fetch(tmp_path / "out", mixed, replace(QUICK, host_connections=2))
    found = rows(tmp_path / "out")
    assert {found[url]["reject"] for url in good} == {None}
    assert {found[url]["reject"] for url in dead} <= {Reject.CONNECT_FAILED, Reject.HOST_DOWN}


def test_a_host_that_fails_everything_is_given_up_and_fetched_by_the_next_retry(
    tmp_path: Path, server: PhotoServer
) -> None:
    server.failing = lambda nth: 503
    urls, started = [server.url(path) for path in server.photos], time.monotonic()
    fetch(tmp_path / "out", urls, replace(QUICK, host_patience_s=1.0, host_connections=2))
    assert time.monotonic() - started < 20
    assert server.requests.total() < 40
    assert not photos(tmp_path / "out")
    assert all(Reject(row["reject"]).transient for row in rows(tmp_path / "out").values())
    server.failing = lambda nth: None
    fetch(tmp_path / "out", urls, retry=Retry.TRANSIENT)
    assert len(photos(tmp_path / "out")) == PHOTOS


def test_a_killed_crawl_fetches_nothing_twice(tmp_path: Path, server: PhotoServer) -> None:
    urls, kills = all_urls(server), 2
    server.delays_s = dict.fromkeys(server.photos, 0.3)
    script = (
        "from pathlib import Path; from tests.pipeline.fetch.test_fetch import *;"
        f"slow = replace(QUICK, host_connections=1); fetch(Path({str(tmp_path / 'out')!r}), {urls!r}, slow)"
    )
    for _ in range(kills):
        done = server.photos_sent.total()
        child = subprocess.Popen([sys.executable, "-c", script])
        while server.photos_sent.total() < done + 5:
            assert child.poll() is None, "it should not have ended before it is killed"
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert server.photos_sent.total() < PHOTOS
    server.delays_s = {}
    fetch(tmp_path / "out", urls)
    assert photos(tmp_path / "out") == {url: server.photos["/" + url.rpartition("/")[2]] for url in urls}
    in_flight = 3 * kills  # one request to each host may have been answered as the kill came
    assert server.photos_sent.total() <= PHOTOS + in_flight
