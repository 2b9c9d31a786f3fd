"""The commands and the Python of the docs, as they stand in their blocks."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


class Line(NamedTuple):
    page: str
    words: tuple[str, ...]


def lines_of(page: Path) -> list[Line]:
    """The commands in the blocks of shell of a page, in order."""
    found = []
    for block in blocks_of(page, "sh|bash|shell|console"):
        lines = block.replace("\\\n", " ").splitlines()
        words = (shlex.split(line.removeprefix("$ "), comments=True) for line in lines)
        found += [Line(page.name, tuple(one)) for one in words if one]
    return found


def blocks_of(page: Path, languages: str) -> list[str]:
    """The blocks of a page in one of some languages (a pattern), in order."""
    text = page.read_text(encoding="utf-8")
    pattern = rf"^```(?:{languages})\n(.*?)^```"
    return [block[1] for block in re.finditer(pattern, text, re.DOTALL | re.MULTILINE)]
