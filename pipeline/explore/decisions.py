"""Decisions of a person in `overrides.csv`: added and taken back while the page is open; the next build obeys them."""

import re
from dataclasses import dataclass

from facerefs.pipeline.build import overrides
from facerefs.pipeline.build.overrides import Override
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.report.review.override_lines import override_line
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.lease import locked_build
from facerefs.pipeline.text import plain_cell

_MOST_CHARACTERS = 4000
_AFTER_EACH_LINE = r"(?<=\n)|(?<=\r)(?!\n)"


@dataclass(frozen=True)
class Decision:
    """A line of `overrides.csv`. is_applied: the build was made with it."""

    line: int
    decision: str
    what: str
    other: str | None
    comment: str
    is_applied: bool

    @property
    def text(self) -> str:
        """What it says, without the comment; this tells it from other lines."""
        return override_line(self.decision, self.what, self.other or "")


def read_decisions(storage: Storage) -> list[Decision]:
    """The lines of `overrides.csv`. Raises UserError if one of them cannot be understood."""
    lines = overrides.read(storage)
    if not lines:
        return []
    rows = storage.scan("overrides", ("decision", "what", "other")).to_pylist()
    applied = {(row["decision"], row["what"], row["other"]) for row in rows}
    return [
        Decision(
            one.line,
            one.decision,
            one.what,
            one.other,
            one.comment,
            (one.decision, one.what, one.other) in applied,
        )
        for one in lines
    ]


def add_decision(storage: Storage, decision: str, what: str, other: str, comment: str) -> Override:
    """Add a line at the end of `overrides.csv`; returns it. A line that is there already is not added again.

    Raises UserError if the line is not possible, or another command is writing to the build.
    """
    text = override_line(decision, what, other)
    if any(not character.isprintable() for character in what + other + comment):
        raise UserError(
            f"{text!r} has characters that cannot be in a line of {overrides.FILE}: use the id of a face"
        )
    if len(text) + len(comment) > _MOST_CHARACTERS or not overrides.is_valid_line(text):
        raise UserError(
            f"{text[:200]!r} is no line of {overrides.FILE}: a decision is about faces, photos or names"
        )
    with locked_build(storage):
        before = overrides.read(storage)
        # A later line may contradict an earlier one; only one that is the last word already is not repeated.
        about = [one for one in before if {one.what, one.other or ""} == {what, other}]
        if about and (about[-1].decision, about[-1].what, about[-1].other) == (decision, what, other or None):
            return about[-1]
        written = _text(storage) or ",".join(overrides.HEADER) + "\n"
        ended = written if written.endswith(("\n", "\r")) else f"{written}\n"
        line = override_line(decision, what, other, plain_cell(comment))
        storage.write_text(overrides.FILE, f"{ended}{line}\n")
        return overrides.read(storage)[-1]


def remove_decision(storage: Storage, line: int, text: str) -> None:
    """Take a line out of `overrides.csv`. text: what it says, as `Decision.text`, in case the lines have moved.

    Raises UserError if there is no such line, or another command is writing to the build.
    """
    with locked_build(storage):
        alike = [one.line for one in overrides.read(storage) if _says(one) == text]
        if not alike:
            raise UserError(f"{overrides.FILE} has no line {text[:200]!r} any more: load the page again")
        number = line if line in alike else alike[-1]
        lines = re.split(_AFTER_EACH_LINE, _text(storage))
        storage.write_text(overrides.FILE, "".join(lines[: number - 1] + lines[number:]))


def _says(one: Override) -> str:
    return override_line(one.decision, one.what, one.other or "")


def _text(storage: Storage) -> str:
    """The file, with its own ends of lines; empty if there is none."""
    data = storage.read_small(overrides.FILE, overrides.MAX_BYTES)
    return "" if data is None else data.decode("utf-8-sig")
