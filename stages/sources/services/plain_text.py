"""Untrusted HTML as one line of text."""

from contextlib import suppress
from html.parser import HTMLParser

_MAX_HTML = 5_000  # the parser takes a time that grows with the square of it
_BREAKS = frozenset({"br", "dd", "div", "dt", "hr", "li", "p", "table", "td", "th", "tr", "ul", "ol"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
_UNSEEN = frozenset({"script", "style", "template"})


def plain_text(html: str, max_characters: int) -> str:
    """The visible text of HTML, in one line without control characters; cut, with `...`, if it is too long."""
    reader = _Reader()
    with suppress(AssertionError):  # what the parser raises for a declaration that it does not know
        reader.feed(_start(html))
        reader.close()
    line = " ".join("".join(c if c.isprintable() else " " for c in "".join(reader.seen)).split())
    return line if len(line) <= max_characters else line[: max_characters - 3] + "..."


def _start(html: str) -> str:
    """The first _MAX_HTML characters, not cut within a tag."""
    start = html[:_MAX_HTML]
    return (
        start[: start.rfind("<")] if len(html) > _MAX_HTML and start.rfind("<") > start.rfind(">") else start
    )


class _Reader(HTMLParser):
    """Collects the text outside elements that are not shown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[str] = []
        self._hidden = 0  # open elements, from the outermost that is not shown

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BREAKS:
            self.seen.append(" ")
        if tag in _VOID:
            return
        style = "".join((dict(attrs).get("style") or "").lower().split())
        if self._hidden or tag in _UNSEEN or "display:none" in style:
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in _BREAKS:
            self.seen.append(" ")
        if self._hidden and tag not in _VOID:
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.seen.append(data)
