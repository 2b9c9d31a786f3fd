"""One hop against hosts that misbehave: each ends in its reason, in time, and nothing it must not touch is touched."""

import asyncio
import socket
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from facerefs.schemas.reject import Reject
from facerefs.stages.web import connection
from facerefs.stages.web.address import Resolve, WebError, check_url
from facerefs.stages.web.client import Answer, Client, retry_after_s
from facerefs.stages.web.limits import WebLimits
from tests.hostile_web import BEHAVIOURS, HostileWeb, Level, hostile_web

MAX_BYTES = 4 << 20
LIMITS = WebLimits(
    "facerefs/test (crawl@example.com)",
    connect_timeout_s=1.0,
    idle_timeout_s=0.5,
    total_timeout_s=2.0,
    allow_private_hosts=True,
)
PUBLIC_ONLY = replace(LIMITS, allow_private_hosts=False)
PATIENT = replace(LIMITS, connect_timeout_s=10.0, idle_timeout_s=10.0, total_timeout_s=20.0)
SEEN_BY_HOP = [path for path, each in BEHAVIOURS.items() if each.level in (Level.URL, Level.HOP)]
TOO_SLOW = [path for path in SEEN_BY_HOP if BEHAVIOURS[path].expected is Reject.TIMEOUT]
SEEN_LATER = [path for path in BEHAVIOURS if path not in SEEN_BY_HOP]


@dataclass
class Outcome:
    answer: Answer | None
    error: WebError | None
    seconds: float


@pytest.fixture(scope="module")
def web() -> Iterator[HostileWeb]:
    with hostile_web() as running:
        yield running


@pytest.fixture(scope="module")
def outcomes(web: HostileWeb) -> dict[str, Outcome]:
    """Every behaviour met once, many at the same time; those that are too slow with short deadlines."""

    async def meet(client: Client, path: str) -> Outcome:
        started = time.monotonic()
        answer, error = None, None
        try:
            answer = await client.hop(check_url(web.url(path)), MAX_BYTES)
        except WebError as caught:
            error = caught
        return Outcome(answer, error, time.monotonic() - started)

    async def meet_all(paths: Sequence[str], limits: WebLimits) -> dict[str, Outcome]:
        async with Client(limits, ca_file=web.ca_file) as client:
            met = await asyncio.gather(*(meet(client, path) for path in paths))
        return dict(zip(paths, met, strict=True))

    others = [path for path in BEHAVIOURS if path not in TOO_SLOW]
    return asyncio.run(meet_all(others, PATIENT)) | asyncio.run(meet_all(TOO_SLOW, LIMITS))


def in_client(
    web: HostileWeb,
    test: Callable[[Client], Awaitable[None]],
    limits: WebLimits = PATIENT,
    **options: Resolve,
) -> None:
    async def run() -> None:
        async with Client(limits, options.get("resolve"), web.ca_file) as client:
            await test(client)

    asyncio.run(run())


async def refused(hop: Awaitable[Answer]) -> WebError:
    with pytest.raises(WebError) as caught:
        await hop
    return caught.value


def resolving(*answers: Sequence[str]) -> tuple[Resolve, list[str]]:
    """A resolver that gives these, one after the other, the last one for ever; and what it was asked."""
    asked: list[str] = []

    async def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


def without_network() -> list[str]:
    """From now on each connection of the running loop is refused before a packet is sent; returns where to."""
    tried: list[str] = []

    async def refuse(_: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError(111, "refused by the test")

    asyncio.get_running_loop().sock_connect = refuse  # type: ignore[assignment,method-assign]
    return tried


@pytest.mark.parametrize("path", SEEN_BY_HOP)
def test_a_hop_ends_in_its_reason(path: str, outcomes: dict[str, Outcome]) -> None:
    outcome, expected = outcomes[path], BEHAVIOURS[path].expected
    assert (outcome.error and outcome.error.reject) == expected
    if expected is None:
        assert outcome.answer is not None
        assert outcome.answer.status == 200
        assert outcome.answer.body.startswith(b"\xff\xd8\xff")
        assert outcome.answer.body.endswith(b"\xff\xd9")


@pytest.mark.parametrize("path", SEEN_LATER)
def test_what_later_checks_have_to_reject_is_answered(path: str, outcomes: dict[str, Outcome]) -> None:
    answer = outcomes[path].answer
    assert answer is not None
    assert answer.status == 200 or answer.body == b""


def test_no_hop_takes_longer_than_its_deadline(outcomes: dict[str, Outcome]) -> None:
    slowest = max(TOO_SLOW, key=lambda path: outcomes[path].seconds)
    assert outcomes[slowest].seconds < LIMITS.total_timeout_s + 1.0, slowest
    assert max(outcome.seconds for outcome in outcomes.values()) < PATIENT.idle_timeout_s  # nothing hung


def test_reasons_are_told_in_few_printable_characters(outcomes: dict[str, Outcome]) -> None:
    details = [outcome.error.detail for outcome in outcomes.values() if outcome.error]
    assert all(detail.isprintable() and 0 < len(detail) <= 200 for detail in details)
    assert outcomes["/mute_tls.jpg"].error.detail == "no connection within 1 s"  # type: ignore[union-attr]
    assert outcomes["/stalls.jpg"].error.detail == "no byte for 0.5 s"  # type: ignore[union-attr]
    assert outcomes["/slow_body.jpg"].error.detail == "not complete within 2 s"  # type: ignore[union-attr]


def test_the_table_is_long_enough() -> None:
    assert len(BEHAVIOURS) > 100


@pytest.mark.parametrize("path", ["/endless.jpg", "/gzip_bomb.jpg", "/endless_gzip.jpg", "/continues.jpg"])
def test_memory_stays_within_the_cap(path: str, web: HostileWeb) -> None:
    async def test(client: Client) -> None:
        tracemalloc.start()
        try:
            await refused(client.hop(check_url(web.url(path)), MAX_BYTES))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2 * MAX_BYTES + (4 << 20)  # the server, which lives in this process, sends MB by MB

    in_client(web, test)


def test_a_late_bad_chunk_is_noticed_at_once(web: HostileWeb) -> None:
    async def test(client: Client) -> None:
        started = time.monotonic()
        error = await refused(client.hop(check_url(web.url("/late_bad_chunk.jpg")), MAX_BYTES))
        assert error.reject is Reject.BAD_ANSWER
        assert time.monotonic() - started < 5

    in_client(web, test)


def test_the_request_says_who_we_are_and_brings_back_no_cookie(web: HostileWeb) -> None:
    async def test(client: Client) -> None:
        url = check_url(web.url("/cookie.jpg"))
        before = len(web.requests)
        for _ in range(2):
            await client.hop(url, MAX_BYTES, headers={"If-None-Match": '"v1"'})
        for request in web.requests[before:]:
            assert request.headers["user-agent"] == LIMITS.user_agent
            assert request.headers["accept-encoding"] == "identity"
            assert request.headers["accept"].startswith("image/")
            assert request.headers["if-none-match"] == '"v1"'
            assert request.headers["host"] == f"{url.host}:{url.port}"
            assert "cookie" not in request.headers

    in_client(web, test)


@pytest.mark.parametrize(
    ("path", "connections"),
    [
        ("/healthy.jpg", 1),
        ("/chunked.jpg", 1),
        ("/secure.jpg", 1),
        ("/404.jpg", 1),
        ("/until_close.jpg", 3),
        ("/unasked.jpg", 3),
        ("/dies.jpg", 3),
    ],
)
def test_connections_are_kept_alive_and_replaced_when_they_die(
    path: str, connections: int, web: HostileWeb
) -> None:
    async def test(client: Client) -> None:
        before = len(web.requests)
        for _ in range(3):
            await client.hop(check_url(web.url(path)), MAX_BYTES)
            await asyncio.sleep(0.05)
        assert len({request.connection for request in web.requests[before:]}) == connections

    in_client(web, test)


def test_a_fresh_connection_that_breaks_is_not_tried_again(web: HostileWeb) -> None:
    async def test(client: Client) -> None:
        before = web.count("/closes.jpg")
        await refused(client.hop(check_url(web.url("/closes.jpg")), MAX_BYTES))
        assert web.count("/closes.jpg") == before + 1

    in_client(web, test)


def test_few_idle_connections_are_kept(web: HostileWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_IDLE_CONNECTIONS", 1)

    async def test(client: Client) -> None:
        before = len(web.requests)
        for path in ("/healthy.jpg", "/lies.jpg", "/lies.jpg", "/healthy.jpg"):
            await client.hop(check_url(web.url(path)), MAX_BYTES)
        connections = [request.connection for request in web.requests[before:]]
        assert connections[1] == connections[2]
        assert len(set(connections)) == 3

    in_client(web, test)


class UnwantedStartError(Exception):
    """What a caller's check_start raises."""


@pytest.mark.parametrize(
    "path", ["/healthy.jpg", "/gzip.jpg", "/chunks_of_one.jpg", "/endless.jpg", "/short.jpg"]
)
def test_the_start_of_a_body_can_end_its_transfer(path: str, web: HostileWeb) -> None:
    starts: list[bytes] = []

    def check_start(data: bytes) -> None:
        starts.append(data)
        raise UnwantedStartError

    async def test(client: Client) -> None:
        with pytest.raises(UnwantedStartError):
            await client.hop(check_url(web.url(path)), MAX_BYTES, check_start=check_start)

    in_client(web, test)
    assert len(starts) == 1
    assert starts[0] == b"no\n" if path == "/short.jpg" else starts[0].startswith(b"\xff\xd8\xff")
    assert len(starts[0]) >= 32 or path == "/short.jpg"


def test_the_start_of_an_empty_body_is_not_checked(web: HostileWeb) -> None:
    starts: list[bytes] = []

    async def test(client: Client) -> None:
        for path in ("/empty.jpg", "/404.jpg"):
            await client.hop(check_url(web.url(path)), MAX_BYTES, check_start=starts.append)

    in_client(web, test)
    assert starts == []


def test_memory_is_reserved_as_announced_and_waiting_for_it_costs_no_time(web: HostileWeb) -> None:
    limits = replace(LIMITS, idle_timeout_s=0.5, total_timeout_s=1.0)
    reserved: dict[str, int] = {}

    async def size(client: Client, path: str) -> int:
        class Scarce:
            def take_now(self, size: int) -> bool:
                return False

            async def take(self, size: int) -> None:
                reserved[path] = size
                await asyncio.sleep(1.5)

        return len((await client.hop(check_url(web.url(path)), MAX_BYTES, memory=Scarce())).body)

    async def test(client: Client) -> None:
        sound = ("/healthy.jpg", "/secure.jpg", "/until_close.jpg", "/gzip.jpg")
        *sizes, stalled, endless = await asyncio.gather(
            *(size(client, path) for path in (*sound, "/stalls.jpg", "/endless.jpg")), return_exceptions=True
        )
        assert [reserved[path] for path in sound] == [*sizes[:2], MAX_BYTES, MAX_BYTES]
        assert isinstance(stalled, WebError)
        assert stalled.detail == "no byte for 0.5 s"
        assert isinstance(endless, WebError)
        assert endless.reject is Reject.TOO_MANY_BYTES

    in_client(web, test, limits)


def test_a_hop_can_be_cancelled(web: HostileWeb) -> None:
    async def test(client: Client) -> None:
        hop = asyncio.create_task(client.hop(check_url(web.url("/slow_body.jpg")), MAX_BYTES))
        await asyncio.sleep(0.2)
        hop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hop

    in_client(web, test)


def test_a_header_that_cannot_be_sent_is_a_reason(web: HostileWeb) -> None:
    async def test(client: Client) -> None:
        url, split = check_url(web.url("/healthy.jpg")), {"If-None-Match": "a\r\nHost: b"}
        assert (await refused(client.hop(url, MAX_BYTES, headers=split))).reject is Reject.BAD_ANSWER

    in_client(web, test)


@pytest.mark.parametrize("host", ["{host}", "{decimal}", "{hexadecimal}", "[::ffff:{host}]", "named.example"])
def test_internal_addresses_get_no_packet(host: str, web: HostileWeb) -> None:
    resolve, _ = resolving(["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254"])

    async def test(client: Client) -> None:
        tried = without_network()
        real = URL(web.url("/healthy.jpg"))
        number = int.from_bytes(socket.inet_aton(real.host or ""))
        spelled = host.format(host=real.host, decimal=number, hexadecimal=hex(number))
        error = await refused(client.hop(check_url(f"http://{spelled}:{real.port}/healthy.jpg"), MAX_BYTES))
        assert error.reject is Reject.PRIVATE_ADDRESS
        assert tried == []

    in_client(web, test, PUBLIC_ONLY, resolve=resolve)


def test_an_unchecked_number_for_a_host_is_refused_too(web: HostileWeb) -> None:
    async def test(client: Client) -> None:
        tried = without_network()
        for host in ("2130706433", "0x7f000001", "0177.0.0.1", "127.1"):
            error = await refused(client.hop(URL(f"http://{host}/"), MAX_BYTES))
            assert error.reject in (Reject.BAD_URL, Reject.PRIVATE_ADDRESS)
        assert tried == []

    in_client(web, test, PUBLIC_ONLY)


def test_of_mixed_addresses_only_the_public_ones_are_tried(web: HostileWeb) -> None:
    resolve, _ = resolving(["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111", "127.0.0.1"])

    async def test(client: Client) -> None:
        tried = without_network()
        error = await refused(client.hop(check_url("http://mixed.example/"), MAX_BYTES))
        assert error.reject is Reject.CONNECT_FAILED
        assert set(tried) == {"8.8.8.8", "2606:4700::1111"}

    in_client(web, test, PUBLIC_ONLY, resolve=resolve)


@pytest.mark.parametrize("ttl_s", [connection.NAME_TTL_S, 0.0])
def test_a_name_that_is_rebound_to_loopback_gets_no_packet(
    ttl_s: float, web: HostileWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "NAME_TTL_S", ttl_s)
    resolve, asked = resolving(["8.8.8.8"], ["127.0.0.1"])

    async def test(client: Client) -> None:
        tried = without_network()
        url = check_url("http://rebinding.example/")
        reasons = [(await refused(client.hop(url, MAX_BYTES))).reject for _ in range(3)]
        assert reasons[0] is Reject.CONNECT_FAILED
        assert set(reasons[1:]) == {Reject.CONNECT_FAILED if ttl_s else Reject.PRIVATE_ADDRESS}
        assert len(asked) == (1 if ttl_s else 3)
        assert tried == ["8.8.8.8"] * (3 if ttl_s else 1)  # checked once, and exactly this is connected to

    in_client(web, test, PUBLIC_ONLY, resolve=resolve)


def test_the_name_is_asked_once_for_many_and_its_failure_is_remembered_shortly(web: HostileWeb) -> None:
    asked: list[str] = []

    async def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        await asyncio.sleep(0.05)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def test(client: Client) -> None:
        url = check_url("http://unknown.example/")
        errors = await asyncio.gather(*(refused(client.hop(url, MAX_BYTES)) for _ in range(5)))
        errors.append(await refused(client.hop(url, MAX_BYTES)))
        assert {error.reject for error in errors} == {Reject.HOST_UNKNOWN}
        assert asked == ["unknown.example"]

    in_client(web, test, resolve=resolve)


def test_few_names_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, asked = resolving(["8.8.8.8"])
    monkeypatch.setattr(connection, "MAX_CACHED_NAMES", 2)

    async def test() -> None:
        names = connection.CheckedResolver(resolve, allow_private=False)
        for host in ("a", "b", "a", "c", "a", "b"):
            await names.resolve(host, 80)
        assert asked == ["a", "b", "c", "b"]

    asyncio.run(test())


def test_a_name_can_take_no_longer_than_a_connection(web: HostileWeb) -> None:
    async def resolve(_: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async def test(client: Client) -> None:
        started = time.monotonic()
        error = await refused(client.hop(check_url("http://hangs.example/"), MAX_BYTES))
        assert (error.reject, error.detail) == (Reject.TIMEOUT, "no connection within 1 s")
        assert time.monotonic() - started < 2

    in_client(web, test, LIMITS, resolve=resolve)


@pytest.mark.parametrize(
    ("addresses", "expected"), [([], Reject.HOST_UNKNOWN), (["junk"], Reject.PRIVATE_ADDRESS)]
)
def test_odd_resolvers_end_in_a_reason(addresses: list[str], expected: Reject, web: HostileWeb) -> None:
    resolve, _ = resolving(addresses)

    async def test(client: Client) -> None:
        assert (await refused(client.hop(check_url("http://a.example/"), MAX_BYTES))).reject is expected

    in_client(web, test, resolve=resolve)


def test_a_name_is_resolved_by_the_system(web: HostileWeb) -> None:
    async def test(client: Client) -> None:
        error = await refused(client.hop(check_url("http://localhost/"), MAX_BYTES))
        assert error.reject is Reject.PRIVATE_ADDRESS
        assert "127.0.0.1" in error.detail or "::1" in error.detail

    in_client(web, test, PUBLIC_ONLY)


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("9" * 5000, 86_400.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        (formatdate(NOW + 1e8, usegmt=True), 86_400.0),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("٣", None),
        ("Thu, 99 Foo 9999 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_understood(text: str, expected: float | None) -> None:
    assert retry_after_s(CIMultiDict({"retry-after": text}), NOW) == expected


def test_no_retry_after_is_no_wait() -> None:
    assert retry_after_s(CIMultiDict(), NOW) is None


@given(st.text() | st.from_regex(r"\w{3}, \d+ (Jan|Feb) \d+ \d+:\d+:\d+ (GMT|[+-]\d+)?"))
def test_any_retry_after_is_a_bounded_wait_or_none(text: str) -> None:
    wait_s = retry_after_s(CIMultiDict({"Retry-After": text}), NOW)
    assert wait_s is None or 0 <= wait_s <= 86_400


def test_headers_can_end_a_hop_before_the_body_is_read(web: HostileWeb) -> None:
    def refuse(headers: object) -> None:
        raise WebError(Reject.OPT_OUT, "as the headers say")

    async def test(client: Client) -> None:
        with pytest.raises(WebError) as caught:
            await client.hop(check_url(web.url("/endless.jpg")), MAX_BYTES, check_headers=refuse)
        assert caught.value.reject is Reject.OPT_OUT

    in_client(web, test)
