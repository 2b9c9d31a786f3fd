"""Format text from untrusted sources (labels, file names, URLs, decoder messages) and numbers for display."""

import math
import unicodedata
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup

_LONGEST = 300
_LONGEST_LINK = 2_000
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # Unicode categories of invisible characters
_JOINERS = "\u200c\u200d"  # used by many scripts and by emoji


def shown(value: Any) -> Any:
    """The text on one line, without control characters and direction overrides, cut to 300 characters.
    Markup and values that are not text are returned unchanged."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    short = value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
    return short if short.isascii() and short.isprintable() else "".join(map(_visible, short))


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    unseen = unicodedata.category(character) in _UNSEEN and character not in _JOINERS
    return "\N{REPLACEMENT CHARACTER}" if unseen else character


def path(value: str) -> Markup:
    """A path formatted by `shown`, with a possible line break after each slash."""
    return Markup("/<wbr>").join(str(shown(value)).split("/"))  # joining escapes the parts


def web_link(url: str | None) -> str | None:
    """The URL if it is http or https, has a host and has at most 2,000 characters; else None."""
    if not url or len(url) > _LONGEST_LINK or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.hostname else None


def plain_cell(text: str) -> str:
    """The text for a cell of a CSV: on one line, and never a formula to a spreadsheet."""
    folded = " ".join(text.split())
    return f"'{folded}" if folded.startswith(("=", "+", "-", "@")) else folded


def count(number: int) -> str:
    """12345 -> 12,345."""
    return f"{number:,}"


def size(number: int) -> str:
    """Bytes in decimal units: 107935232 -> 107.9 MB."""
    value, unit = float(number), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def figure(value: float | None, digits: int = 3) -> str:
    """A number rounded to `digits` decimals; an en dash for None and NaN."""
    if value is None or math.isnan(value):
        return "–"
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0 makes -0.0 plain 0


def plural(number: int, word: str, words: str | None = None) -> str:
    """1 photo, 2 photos, 0 people."""
    return f"{count(number)} {word if number == 1 else words or word + 's'}"
