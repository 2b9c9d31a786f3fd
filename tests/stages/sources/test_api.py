"""The client of JSON APIs against a server with faults on demand; nothing here waits for real."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from facerefs.stages.sources.services.api import Api
from facerefs.stages.sources.source import SourceError
from facerefs.stages.web.limits import WebLimits
from tests.api_replicas import Replica, World, jpeg

LIMITS = WebLimits("facerefs/0.1 (https://example.org/bot; bot@example.org)", allow_private_hosts=True)
QUERY = {"q": '"Ada"', "license": "cc0", "page": "1"}


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if seconds:
            self.waits.append(seconds)

    def time(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def server() -> Iterator[Replica]:
    world = World()
    world.add_result(
        "Ada", id="1", data=jpeg(1), license="cc0", license_version="1.0", license_url="https://cc"
    )
    with Replica(world) as replica:
        yield replica


@pytest.fixture
def replica(server: Replica) -> Iterator[Replica]:
    server.faults.clear()
    server.requests.clear()
    yield server
    assert server.violations == []
    assert server.faults == []


def ask(
    replica: Replica,
    clock: Clock | None = None,
    *,
    times: int = 1,
    limits: WebLimits = LIMITS,
    busy: Callable[[dict[str, Any]], str | None] = lambda _: None,
    **settings: Any,
) -> dict[str, Any]:
    clock = clock or Clock()
    with Api(limits, sleep=clock.sleep, clock=clock.time, **settings) as api:
        for _ in range(times):
            answer = api.get_json(f"{replica.openverse_api}/images/", QUERY, busy)
    return answer


def test_asks_with_the_parameters_and_gives_the_object(replica: Replica) -> None:
    assert ask(replica)["result_count"] == 1
    assert replica.requests == [QUERY]


def test_keeps_a_distance_between_requests(replica: Replica) -> None:
    clock = Clock()
    ask(replica, clock, times=3, spacing_s=2.0)
    assert clock.waits == [2.0, 2.0]


@pytest.mark.parametrize("fault", ["429", "503", "500", "408", "reset"])
def test_what_is_busy_is_asked_again(replica: Replica, fault: str) -> None:
    replica.faults += [fault, fault]
    clock = Clock()
    assert ask(replica, clock, spacing_s=0.0)["result_count"] == 1
    assert len(replica.requests) >= 3  # aiohttp itself may try a connection that was lost once more
    assert len(clock.waits) == 2


def test_a_slow_answer_is_asked_for_again(replica: Replica) -> None:
    replica.faults += ["slow"]
    hasty = WebLimits(LIMITS.user_agent, total_timeout_s=0.2, allow_private_hosts=True)
    clock = Clock()
    assert ask(replica, clock, limits=hasty)["result_count"] == 1
    assert clock.waits[0] >= 1.0


def test_waits_as_long_as_the_host_asks(replica: Replica) -> None:
    replica.faults += ["429"]
    clock = Clock()
    ask(replica, clock)
    assert clock.waits == [11.0]


def test_waits_longer_each_time_and_gives_up_in_one_sentence(replica: Replica) -> None:
    replica.faults += ["503"] * 6
    clock = Clock()
    with pytest.raises(
        SourceError, match=r"127\.0\.0\.1 stays busy: 6 attempts, .* HTTP 503; try again later"
    ):
        ask(replica, clock, attempts=6, spacing_s=0.0)
    assert len(clock.waits) == 5
    assert all(2**n <= wait <= 1.5 * 2**n for n, wait in enumerate(clock.waits))


def test_does_not_wait_for_hours(replica: Replica) -> None:
    replica.faults += ["tomorrow"]
    clock = Clock()
    with pytest.raises(SourceError, match="left alone for 80000 seconds"):
        ask(replica, clock)
    assert clock.waits == []


def test_an_answer_may_say_itself_that_it_is_none(replica: Replica) -> None:
    replica.faults += ["maxlag"]
    clock = Clock()
    ask(replica, clock, busy=lambda answer: "lag" if "error" in answer else None)
    assert clock.waits == [7.0]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("garbage", "something else than a JSON object"),
        ("list", "something else than a JSON object"),
        ("301", r"redirects \(HTTP 301\) to https://elsewhere\.example/"),
        ("401", r"refuses to answer \(HTTP 401\): it wants to be used with a key"),
        ("403", r"refuses to answer \(HTTP 403\): ask Ada"),
        ("404", "is that the address of its API"),
        ("418", r"HTTP 418\): it was asked for http"),
    ],
)
def test_a_refusal_is_reported_at_once(replica: Replica, fault: str, sentence: str) -> None:
    replica.faults += [fault]
    with pytest.raises(SourceError, match=sentence):
        ask(replica, ways_out={403: "ask Ada"})
    assert len(replica.requests) == 1


def test_a_huge_answer_is_refused(replica: Replica) -> None:
    replica.world.openverse["ada"][0]["title"] = "x" * (17 << 20)
    try:
        with pytest.raises(SourceError, match="larger than the byte limit"):
            ask(replica)
    finally:
        del replica.world.openverse["ada"][0]["title"]


def test_a_private_host_is_asked_only_if_that_is_allowed(replica: Replica) -> None:
    with pytest.raises(SourceError, match="--allow-private-hosts"):
        ask(replica, limits=WebLimits(LIMITS.user_agent))
    assert replica.requests == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://u:p@127.0.0.1/", "nothing"])
def test_what_is_no_address_of_an_api(url: str) -> None:
    with Api(LIMITS) as api, pytest.raises(SourceError, match="is not the address of an API"):
        api.get_json(url, {})


def test_the_replica_notices_bad_manners(server: Replica) -> None:
    ask(server, limits=WebLimits("python-requests/2.0", allow_private_hosts=True))
    (violation,) = server.violations
    assert "without a contact" in violation
    server.violations.clear()


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_host_that_cannot_be_reached_at_first_ends_at_once() -> None:
    clock = Clock()
    with (
        Api(LIMITS, sleep=clock.sleep, clock=clock.time) as api,
        pytest.raises(SourceError, match=r"cannot reach 127\.0\.0\.1: no connection to the host"),
    ):
        api.get_json(f"http://127.0.0.1:{closed_port()}/", QUERY)
    assert clock.waits == []


def test_a_host_that_was_reached_is_waited_for() -> None:
    world = World()
    world.add_result("Ada", id="1", data=b"", license="cc0", license_version="1.0", license_url="https://cc")
    clock = Clock()
    with Api(LIMITS, sleep=clock.sleep, clock=clock.time, attempts=3, spacing_s=0.0) as api:
        with Replica(world) as replica:
            api.get_json(f"{replica.openverse_api}/images/", QUERY)
        with pytest.raises(SourceError, match="stays busy: 3 attempts"):
            api.get_json(f"http://127.0.0.1:{closed_port()}/", QUERY)
    assert len(clock.waits) == 2


@pytest.mark.parametrize("fault", ["404", "418", "301", "garbage", "503"])
def test_no_sentence_shows_the_secrets_of_an_address(replica: Replica, fault: str) -> None:
    replica.faults += [fault]
    with (
        Api(LIMITS, attempts=1) as api,
        pytest.raises(SourceError) as caught,
    ):
        api.get_json(f"{replica.openverse_api}/images/?key=SECRET", QUERY)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://u:SECRET@127.0.0.1/?key=SECRET", "ftp://127.0.0.1/?key=SECRET", "http://[/?key=SECRET\0"]
)
def test_an_invalid_address_is_reported_without_its_secrets(url: str) -> None:
    with Api(LIMITS) as api, pytest.raises(SourceError, match="is not the address of an API") as caught:
        api.get_json(url, {})
    assert "SECRET" not in str(caught.value)
