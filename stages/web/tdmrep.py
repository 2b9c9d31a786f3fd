"""Opt-outs from text and data mining for a whole site (TDM Reservation Protocol).

W3C Community Group Final Report, 10 May 2024: `/.well-known/tdmrep.json` is an array of rules; the first whose
`location` matches the path counts. Locations are patterns as in robots.txt: `*` and, at the end, `$`.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from yarl import URL

from facerefs.stages.web.optout import printable
from facerefs.stages.web.site_file import DAY_S, MINUTE_S, Get, SiteAnswer, SiteFiles

MAX_BYTES = 512 << 10
_MAX_RULES = 1000
_MAX_PATTERN = 2048  # characters
_WEIGHT = 4  # of a file without rules
_ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_ENCODED_SLASH = re.compile(r"%2f", re.IGNORECASE)


@dataclass(frozen=True)
class _Rule:
    pieces: tuple[str, ...]  # the literal texts between the `*`
    to_the_end: bool  # whether the pattern ends in `$`
    statement: str | None  # None if nothing is reserved


@dataclass(frozen=True, eq=False)
class _TdmFile:
    rules: tuple[_Rule, ...]
    ttl_s: float = DAY_S
    weight: int = _WEIGHT


class TdmRules:
    """Finds reservations in the tdmrep.json of an origin, which is fetched through `get` and kept for a day.

    A file that is missing, malformed, longer than `MAX_BYTES` or cannot be fetched reserves nothing: a host without it
    "does not implement this protocol".
    """

    def __init__(self, get: Get, clock: Callable[[], float] = time.monotonic) -> None:
        self._files = SiteFiles(get, "/.well-known/tdmrep.json", _read, clock)

    async def reservation(self, url: URL) -> str | None:
        """The statement that reserves a URL, such as `tdmrep.json: /photos/* reserved`, or None."""
        file = await self._files.rules(url)
        if not file.rules:
            return None
        path = _plain(url.raw_path_qs)
        return next((rule.statement for rule in file.rules if _matches(rule, path)), None)


def _read(answer: SiteAnswer) -> _TdmFile:
    if answer.status != 200:
        lost = answer.status is None or answer.status == 429 or answer.status >= 500
        return _TdmFile((), MINUTE_S if lost else DAY_S)
    try:
        listed = json.loads(answer.body) if len(answer.body) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        listed = None
    rules = [_rule(item) for item in listed[:_MAX_RULES]] if isinstance(listed, list) else []
    kept = tuple(rule for rule in rules if rule is not None)
    return _TdmFile(kept, weight=_WEIGHT + len(kept) + (len(answer.body) // 250 if kept else 0))


def _rule(item: object) -> _Rule | None:
    """A rule; None if it has no location. Any other value than 1 reserves nothing."""
    location = item.get("location") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(location, str) or not location.strip():
        return None
    pattern = _ORIGIN.sub("", location.strip(), count=1) or "/"
    pattern = pattern if pattern[0] in "/*" else f"/{pattern}"
    if len(pattern) > _MAX_PATTERN:
        pattern = pattern[:_MAX_PATTERN]  # matches more
    statement = None
    if item.get("tdm-reservation") in (1, "1"):
        policy = item.get("tdm-policy")
        statement = f"tdmrep.json: {location.strip()} reserved"
        statement = printable(statement + (f", policy {policy}" if isinstance(policy, str) else ""))
    pieces = tuple(_plain(piece) for piece in pattern.removesuffix("$").split("*"))
    return _Rule(pieces, pattern.endswith("$"), statement)


def _plain(path: str) -> str:
    """A path in one normal form of percent-encoding."""
    kept = _ENCODED_SLASH.sub("%252F", path)
    return quote(unquote_to_bytes(kept.encode(errors="replace")), safe="/")


def _matches(rule: _Rule, path: str) -> bool:
    """Whether the path matches the pattern; takes time in proportion to both."""
    first, *others = rule.pieces
    if not path.startswith(first):
        return False
    if not others:
        return not rule.to_the_end or path == first
    at = len(first)
    for piece in others[:-1]:
        found = path.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    if rule.to_the_end:
        return path.endswith(others[-1]) and len(path) - len(others[-1]) >= at
    return path.find(others[-1], at) >= 0
