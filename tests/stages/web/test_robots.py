"""robots.txt: what it allows, whatever the host sends in its place."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from facerefs.schemas.reject import Reject
from facerefs.stages.web.address import WebError, check_url
from facerefs.stages.web.client import Answer
from facerefs.stages.web.robots import RobotsDecision, RobotsRules

Get = Callable[[URL], Awaitable[Answer]]


def answer(url: URL, status: int = 200, body: bytes = b"", location: str | None = None) -> Answer:
    headers: CIMultiDict[str] = CIMultiDict({} if location is None else {"Location": location})
    return Answer(url, status, CIMultiDictProxy(headers), body)


class Site:
    """Answers every request alike, and counts them."""

    def __init__(self, status: int = 200, body: bytes = b"", location: str | None = None) -> None:
        self.asked: list[str] = []
        self._answer = (status, body, location)

    async def __call__(self, url: URL) -> Answer:
        self.asked.append(str(url))
        await asyncio.sleep(0)
        return answer(url, *self._answer)


def decision_for(body: bytes | str, path: str = "/photos/1.jpg", status: int = 200) -> RobotsDecision:
    data = body.encode() if isinstance(body, str) else body
    return asyncio.run(RobotsRules(Site(status, data)).decision(check_url(f"https://host.example{path}")))


@pytest.mark.parametrize(
    ("text", "path", "robots"),
    [
        ("User-agent: *\nDisallow: /", "/a.jpg", "disallowed"),
        ("User-agent: *\nDisallow: /private", "/a.jpg", "allowed"),
        ("User-agent: *\nDisallow:", "/a.jpg", "allowed"),
        ("User-agent: other\nDisallow: /", "/a.jpg", "none"),
        ("", "/a.jpg", "none"),
        ("# only a comment", "/a.jpg", "none"),
        # our group counts, and nobody else's, wherever it stands
        ("User-agent: *\nDisallow: /\n\nUser-agent: facerefs\nAllow: /", "/a.jpg", "allowed"),
        ("User-agent: FaceRefs/2.0\nDisallow: /\n\nUser-agent: *\nAllow: /", "/a.jpg", "disallowed"),
        ("User-agent: a\nUser-agent: facerefs\nDisallow: /", "/a.jpg", "disallowed"),
        ("User-agent: facerefs\nUser-agent: a\nDisallow: /", "/a.jpg", "disallowed"),
        ("User-agent: face\nDisallow: /\nUser-agent: facerefs-two\nDisallow: /", "/a.jpg", "none"),
        ("User-agent: *\nAllow: /\nUser-agent: x\nDisallow: /", "/a.jpg", "allowed"),
        ("User-agent: *\nSitemap: /s.xml\nUser-agent: x\nDisallow: /", "/a.jpg", "disallowed"),
        # the longest rule counts, Allow if there are two
        ("User-agent: *\nDisallow: /\nAllow: /open/", "/open/a.jpg", "allowed"),
        ("User-agent: *\nAllow: /a\nDisallow: /a", "/a.jpg", "allowed"),
        ("User-agent: *\nDisallow: /*.jpg$", "/x/a.jpg", "disallowed"),
        ("User-agent: *\nDisallow: /*.jpg$", "/x/a.jpg?w=1", "allowed"),
        ("User-agent: *\nDisallow: /*?w=", "/x/a.jpg?w=1", "disallowed"),
        # percent-encoding
        ("User-agent: *\nDisallow: /é", "/%C3%A9.jpg", "disallowed"),
        ("User-agent: *\nDisallow: /%7ejoe", "/~joe/a.jpg", "disallowed"),
        ("User-agent: *\nDisallow: /a%2fb", "/a/b.jpg", "allowed"),
        ("User-agent: *\nDisallow: /a%2fb", "/a%2Fb.jpg", "disallowed"),
        # as people write it
        ("user-agent:*\ndisallow:/", "/a.jpg", "disallowed"),
        ("  User-Agent : *  # all\n  Disallow : /  # everything", "/a.jpg", "disallowed"),
        ("User-agent: *\rDisallow: /\r", "/a.jpg", "disallowed"),
        ("User-agent: *\r\nDisallow: /\r\n", "/a.jpg", "disallowed"),
        ("User agent *\nDissalow /", "/a.jpg", "disallowed"),
        ("Disallow: /", "/a.jpg", "none"),
        ("<!doctype html><html><body>Disallow all?</body></html>", "/a.jpg", "none"),
    ],
)
def test_rules(text: str, path: str, robots: str) -> None:
    assert decision_for(text, path).robots == robots


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbfUser-agent: *\nDisallow: /",
        "User-agent: *\nDisallow: /".encode("utf-16"),
        b"# caf\xe9 \xff\xfe\nUser-agent: *\nDisallow: /",
        b"\0\0\nUser-agent: *\nDisallow: /\n\0",
    ],
)
def test_bytes_are_read_leniently(body: bytes) -> None:
    assert decision_for(body).robots == "disallowed"


def test_what_is_too_long_ends_at_a_lines_end() -> None:
    start = b"User-agent: *\nDisallow: /secret\n"
    filler = b"# filler, nothing else\n" * 30_000
    assert decision_for(start + filler, "/secret/1").robots == "disallowed"
    cut = start + b"#" * ((500 << 10) - len(start) - 12) + b"\nDisallow: /photos/of/the/king\n"
    assert decision_for(cut, "/photos/1").robots == "allowed"


@pytest.mark.parametrize(
    ("status", "robots"),
    [
        *((status, "none") for status in (204, 403, 404, 410, 451)),
        *((status, "unknown") for status in (206, 304, 408, 429, 500, 503)),
    ],
)
def test_other_answers(status: int, robots: str) -> None:
    decision = decision_for("", status=status)
    assert decision.robots == robots
    assert decision.detail.startswith(f"https://host.example/robots.txt: HTTP {status}")


@pytest.mark.parametrize(
    "reject", [Reject.TIMEOUT, Reject.PRIVATE_ADDRESS, Reject.TLS, Reject.TOO_MANY_BYTES]
)
def test_without_an_answer_nothing_is_allowed(reject: Reject) -> None:
    async def fail(url: URL) -> Answer:
        raise WebError(reject, "why")

    decision = asyncio.run(RobotsRules(fail).decision(URL("http://host.example/a.jpg")))
    assert decision.robots == "unknown"
    assert "http://host.example/robots.txt" in decision.detail
    assert "why" in decision.detail


@pytest.mark.parametrize(
    ("value", "delay_s"),
    [("2", 2.0), ("0.5", 0.5), ("1e9", 300.0), ("-1", 0.0), ("soon", 0.0), ("nan", 0.0), ("inf", 0.0)],
)
def test_crawl_delay_is_bounded(value: str, delay_s: float) -> None:
    assert decision_for(f"User-agent: *\nCrawl-delay: {value}\nDisallow: /x").crawl_delay_s == delay_s


def test_redirects_are_followed_hop_by_hop() -> None:
    hops = {
        "http://host.example/robots.txt": "https://host.example/robots.txt",
        "https://host.example/robots.txt": "//www.host.example/r/../robots.txt",
    }
    asked = []

    async def get(url: URL) -> Answer:
        asked.append(str(url))
        if (location := hops.get(str(url))) is not None:
            return answer(url, 301, location=location)
        return answer(url, body=b"User-agent: *\nDisallow: /")

    decision = asyncio.run(RobotsRules(get).decision(URL("http://host.example/a.jpg")))
    assert decision.robots == "disallowed"
    assert asked == [*hops, "https://www.host.example/robots.txt"]


@pytest.mark.parametrize(
    ("location", "requests"), [("/robots.txt", 6), (None, 1), ("file:///etc/passwd", 1), ("http://u:p@h/", 1)]
)
def test_bad_redirects_end_in_unknown(location: str | None, requests: int) -> None:
    site = Site(302, location=location)
    assert asyncio.run(RobotsRules(site).decision(URL("http://host.example/a"))).robots == "unknown"
    assert len(site.asked) == requests


def test_a_hundred_urls_ask_once_and_origins_are_apart() -> None:
    site = Site(200, b"User-agent: *\nDisallow: /x")

    async def ask() -> list[RobotsDecision]:
        robots = RobotsRules(site)
        urls = [URL(f"{origin}/{n}") for n in range(100) for origin in origins]
        return await asyncio.gather(*(robots.decision(url) for url in urls))

    origins = ["http://host.example", "https://host.example", "http://host.example:8080", "http://b.example"]
    assert {decision.robots for decision in asyncio.run(ask())} == {"allowed"}
    assert sorted(site.asked) == sorted(f"{origin}/robots.txt" for origin in origins)


def test_a_cancelled_caller_does_not_cancel_the_others() -> None:
    site = Site(200, b"User-agent: *\nDisallow: /")

    async def ask() -> RobotsDecision:
        robots = RobotsRules(site)
        first = asyncio.create_task(robots.decision(URL("http://host.example/1")))
        second = asyncio.create_task(robots.decision(URL("http://host.example/2")))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(ask()).robots == "disallowed"
    assert len(site.asked) == 1


@pytest.mark.parametrize(("status", "ttl_s"), [(200, 86_400), (404, 86_400), (500, 60)])
def test_how_long_it_is_kept(status: int, ttl_s: int) -> None:
    site, now = Site(status, b"User-agent: *\nDisallow: /"), [0.0]

    async def ask() -> list[int]:
        robots, counts = RobotsRules(site, clock=lambda: now[0]), []
        for now[0] in (0.0, ttl_s - 1.0, ttl_s + 1.0):
            await robots.decision(URL("http://host.example/a"))
            counts.append(len(site.asked))
        return counts

    assert asyncio.run(ask()) == [1, 1, 2]


def test_memory_is_bounded_and_what_is_used_stays() -> None:
    site = Site(200, b"User-agent: *\n" + b"".join(b"Disallow: /%d\n" % n for n in range(2000)))

    async def ask() -> int:
        robots = RobotsRules(site)
        for n in range(150):
            await robots.decision(URL(f"http://h{n}.example/a"))
            await robots.decision(URL("http://used.example/a"))
        return robots._files._weight

    assert asyncio.run(ask()) <= 200_000
    assert site.asked.count("http://used.example/robots.txt") == 1
    assert len(site.asked) == 151


HOSTILE = {
    "wildcards": b"User-agent: *\n" + b"Disallow: /*a*b\n" * 32_000,
    "one long pattern": b"User-agent: *\nDisallow: /" + b"*a" * 250_000,
    "long patterns": b"User-agent: *\n" + (b"Disallow: /" + b"*a" * 900 + b"\n") * 280,
    "dollars": b"User-agent: *\nDisallow: /" + b"$" * 500_000,
    "agents times rules": b"User-agent: a\n" * 18_000 + b"Disallow: /\n" * 20_000,
    "names times rules": b"".join(b"User-agent: a%d\n" % n for n in range(14_000))
    + b"Disallow: /\n" * 20_000,
    "ours and others": b"User-agent: *\n"
    + b"".join(b"User-agent: a%d\n" % n for n in range(14_000))
    + b"Disallow: /\n" * 20_000,
    "ours again and again": b"User-agent: *\nUser-agent: facerefs\n" * 6_000 + b"Disallow: /x\n" * 20_000,
    "prefixes": b"User-agent: *\n" + b"".join(b"Disallow: /%d\n" % n for n in range(30_000)),
    "nul bytes": b"User-agent: *\nDisallow: /" + b"\0" * 500_000,
    "blanks": b"User-agent: *\nDisallow: /x" + b" " * 500_000,
    "blank user": b"user" + b" " * 500_000,
    "empty lines": b"\n" * 512_000,
    "percent": b"User-agent: *\nDisallow: /" + b"%41" * 160_000,
    "numbers": b"User-agent: *\nCrawl-delay: " + b"9" * 500_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_do_not_stall(name: str) -> None:
    async def ask() -> tuple[float, float]:
        robots = RobotsRules(Site(200, HOSTILE[name]))
        url = URL("http://host.example/" + "a" * 8000, encoded=True)
        times = []
        for _ in range(3):
            start = time.process_time()
            await robots.decision(url)
            times.append(time.process_time() - start)
        return times[0], min(times[1:])

    reading, judging = asyncio.run(ask())
    # Seconds of the processor; a rule that stalls takes minutes. The bounds leave room for a machine under load.
    assert reading < 10
    assert judging < 1


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_give_a_decision(body: bytes) -> None:
    assert decision_for(b"User-agent: *\n" + body).robots in ("allowed", "disallowed", "none", "unknown")
