"""Fetching without Ray, by one or more workers that share a rate limiter."""

import asyncio

import pytest

from facerefs.schemas.reject import Reject
from facerefs.stages.fetch import Fetch
from facerefs.stages.fetcher import Download, Fetcher
from facerefs.stages.web.rate_limiter import HostRateLimiter
from tests.photo_server import PhotoServer, photo_server

PHOTOS = [f"/{number}.jpg" for number in range(12)]
PHOTO = b"\xff\xd8\xff" + bytes(100)
SETTINGS = Fetch(
    allow_private_hosts=True, host_connections=4, host_rate_per_s=None, backoff_s=0.01, longest_wait_s=0.2
)
AN_HOUR = {"Retry-After": "3600"}


async def fetched(server: PhotoServer, workers: int) -> list[Download]:
    """What each of the workers, which share the photos, made of the server's URLs."""
    limiter = HostRateLimiter(SETTINGS.host_connections, SETTINGS.host_rate_per_s)
    found: list[Download] = []

    async def work(first: int) -> None:
        async with Fetcher(SETTINGS, limiter) as fetcher:
            for part in (PHOTOS[:6], PHOTOS[6:]):  # one after the other
                async with asyncio.TaskGroup() as group:
                    for path in part[first::workers]:
                        row = {"key": path, "url": server.url(path), "sha256": None}
                        group.create_task(fetcher.fetch(row, found.append))

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for first in range(workers):
            group.create_task(work(first))
    return found


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("asking", [PHOTOS, PHOTOS[2:3], ["/robots.txt"]], ids=["all", "one", "robots.txt"])
def test_a_host_that_wants_to_be_left_alone_for_an_hour_holds_up_nobody(
    workers: int, asking: list[str]
) -> None:
    with photo_server() as server:
        server.photos = dict.fromkeys(PHOTOS, PHOTO)
        server.statuses = dict.fromkeys(asking, 429)
        server.headers = dict.fromkeys(asking, AN_HOUR)
        server.delays_s = dict.fromkeys(set(PHOTOS) - set(asking), 0.3)  # they come after it has asked
        found = asyncio.run(fetched(server, workers))
    assert len(found) == len(PHOTOS)
    assert {one.reject for one in found} <= {None, Reject.RATE_LIMITED, Reject.HOST_DOWN}
