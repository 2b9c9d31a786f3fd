"""What a host's robots.txt allows (RFC 9309)."""

import codecs
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from protego import Protego
from yarl import URL

from facerefs.schemas.reject import Reject
from facerefs.stages.web.site_file import DAY_S, MINUTE_S, Get, SiteAnswer, SiteFiles

MAX_BYTES = 500 << 10  # what RFC 9309, section 2.5, wants to be read at least
MAX_CRAWL_DELAY_S = 300.0
_MAX_LINE = 2048  # characters
_MAX_WILDCARDS = 5000  # of the groups that concern us: a few milliseconds for each URL that is checked
_WEIGHT = 4  # of a file without rules
_TRANSIENT = frozenset({408, 425, 429})
_AGENT_LINE = re.compile(r"\s*user(?:-|\s*)agent(?:\s*:|\s|$)(?P<names>[^#]*)", re.IGNORECASE)
_TOKEN = re.compile(r"[a-z_-]+")  # RFC 9309, section 2.2.1
_RULE_LINE = re.compile(
    r"\s*(allow|di[as]+l+[oa]w|crawl[- ]delay)\b", re.IGNORECASE
)  # as Protego spells them


@dataclass(frozen=True)
class RobotsDecision:
    """Whether robots.txt allows a URL.

    robots: allowed, disallowed, none (it has no rules for us) or unknown (it could not be fetched, so nothing is
    allowed for now). crawl_delay_s: seconds from the start of one request to the next. detail: the file's URL, and
    what was found there. cause: for unknown, why the host answers no request at all, if that is so.
    """

    robots: str
    crawl_delay_s: float
    detail: str
    cause: Reject | None = None


@dataclass(frozen=True, eq=False)
class _RobotsFile:
    """A robots.txt: the parsed rules, or the decision for every URL if there are none."""

    parsed: Protego | None
    without: str
    crawl_delay_s: float
    detail: str
    ttl_s: float = DAY_S  # RFC 9309, section 2.4
    weight: int = _WEIGHT
    cause: Reject | None = None


class RobotsRules:
    """Checks URLs against the robots.txt of their origin, which is fetched through `get` and kept for a day.

    agent: our product token. Redirects are followed up to five times. A file that does not exist (4xx) or has no
    rules allows all; one that cannot be fetched (429, 5xx, no answer, too many redirects) or whose rules would take
    too long to match allows nothing, and is fetched again `retry_s` seconds later.
    """

    def __init__(
        self,
        get: Get,
        agent: str = "facerefs",
        clock: Callable[[], float] = time.monotonic,
        retry_s: float = MINUTE_S,
    ) -> None:
        self._agent = agent.lower()
        self._retry_s = retry_s
        self._files = SiteFiles(get, "/robots.txt", self._read, clock)

    async def decision(self, url: URL) -> RobotsDecision:
        """Whether we may fetch a URL, and how slowly."""
        file = await self._files.rules(url)
        robots = file.without
        if file.parsed is not None:
            robots = "allowed" if file.parsed.can_fetch(str(url), self._agent) else "disallowed"
        return RobotsDecision(robots, file.crawl_delay_s, file.detail, file.cause)

    def _read(self, answer: SiteAnswer) -> _RobotsFile:
        status = answer.status
        if status is not None and 400 <= status < 500 and status not in _TRANSIENT:
            return _RobotsFile(None, "none", 0.0, answer.detail)
        if status not in (200, 204):
            return _RobotsFile(None, "unknown", 0.0, answer.detail, ttl_s=self._retry_s, cause=answer.cause)
        lines = _sieve(_text(answer.body), self._agent)
        rules = [line for line in lines if not line.startswith("User-agent: ")]
        if not rules:
            return _RobotsFile(None, "none", 0.0, f"{answer.detail}, no rules")
        detail = f"{answer.detail}, {len(rules)} rules"
        if sum(line.count("*") + line.count("$") for line in rules) > _MAX_WILDCARDS:
            detail = f"{answer.detail}, more than {_MAX_WILDCARDS} wildcards"
            return _RobotsFile(None, "unknown", 0.0, detail, ttl_s=MINUTE_S)
        parsed = Protego.parse("\n".join(lines))
        delay_s = min(parsed.crawl_delay(self._agent) or 0.0, MAX_CRAWL_DELAY_S)
        weight = _WEIGHT + len(rules) + sum(map(len, rules)) // 100
        return _RobotsFile(parsed, "allowed", delay_s, detail, weight=weight)


def _text(body: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with a byte order mark; a file that is too long is cut at a line's end."""
    if len(body) > MAX_BYTES:
        cut = body[:MAX_BYTES]
        body = cut[: max(cut.rfind(b"\n"), cut.rfind(b"\r")) + 1]
    wide = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return body.decode("utf-16" if wide else "utf-8-sig", errors="replace")


def _sieve(text: str, agent: str) -> list[str]:
    """The lines that concern us: the groups for `agent` and for `*`, without other agents and unknown fields.

    Protego's time grows with the number of agents times that of rules, and it also matches an agent whose name is
    only a part of ours. A Disallow that is too long is cut, so that it forbids more; any other line that is too long
    is dropped.
    """
    lines: list[str] = []
    ours = in_names = False
    for line in text.splitlines():
        agent_line = _AGENT_LINE.match(line)
        if agent_line:
            name = _product(agent_line["names"])
            concerns_us = name in (agent, "*")
            ours = concerns_us or (ours and in_names)
            in_names = True
            if concerns_us:
                lines.append(f"User-agent: {name}")
        elif rule := _RULE_LINE.match(line):
            in_names = False
            if ours and (len(line) <= _MAX_LINE or rule[1][0] in "dD"):
                lines.append(line[:_MAX_LINE])
    return lines


def _product(names: str) -> str:
    """The product token of a User-agent line in lower case, `*` for all agents, or an empty string."""
    name = names.strip().lower()
    bare = name.replace("*", "").strip()
    if name and not bare:
        return "*"
    token = _TOKEN.match(bare)
    return token[0] if token else ""
