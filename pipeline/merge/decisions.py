"""Joins the `overrides.csv` of builds into that of the result."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from facerefs.pipeline.build import overrides
from facerefs.pipeline.build.overrides import FILE, HEADER, Override
from facerefs.pipeline.merge.originals import Original
from facerefs.pipeline.merge.photos import TakenPart
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import plural, shown

_NAMED = 10
_OPPOSITE = {"keep": "drop", "drop": "keep", "same": "different", "different": "same"}


@dataclass(frozen=True)
class JoinedDecisions:
    """All lines of the result's file, and sentences about what was added and what contradicts."""

    lines: list[Override]
    said: list[str]


def join_decisions(
    storage: Storage, originals: Sequence[Original], parts: Sequence[TakenPart]
) -> JoinedDecisions:
    """Add the lines of the builds that the result's `overrides.csv` lacks to its end.

    A line that names a photo by its key gets the key that the photo has now. Raises UserError for lines that cannot
    be understood.
    """
    there = {_of(line) for line in overrides.read(storage)}
    added: list[tuple[str, ...]] = []
    said = []
    for number, original in enumerate(originals):
        new = []
        renamed = _renamed(parts, number)
        for line in overrides.read(original.storage):
            one = (
                line.decision,
                renamed.get(line.what, line.what),
                renamed.get(line.other or "", line.other or ""),
            )
            if one not in there:
                there.add(one)
                new.append((*one, line.comment))
        if new:
            said.append(f"{FILE}: {plural(len(new), 'line')} of {original.address} added")
        added += new
    if added:
        storage.write_text(FILE, _text(storage, added))
    lines = overrides.read(storage)
    conflicts = list(_conflicts(lines))
    said += conflicts[:_NAMED]
    if len(conflicts) > _NAMED:
        said.append(f"and {len(conflicts) - _NAMED} more lines of {FILE} contradict earlier ones")
    return JoinedDecisions(lines, said)


def _of(line: Override) -> tuple[str, str, str]:
    return line.decision, line.what, line.other or ""


def _renamed(parts: Sequence[TakenPart], original: int) -> dict[str, str]:
    """The new keys of the photos of a build that got one."""
    return {old: new for part in parts if part.original == original for new, old in part.renamed.items()}


def _text(storage: Storage, added: Sequence[tuple[str, ...]]) -> str:
    before = (storage.read_small(FILE, overrides.MAX_BYTES) or b"").decode("utf-8-sig")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not overrides.read(storage) and ",".join(HEADER) not in before:
        writer.writerow(HEADER)
    writer.writerows(added)
    return f"{before}{'' if not before or before.endswith(chr(10)) else chr(10)}{text.getvalue()}"


def _conflicts(lines: Sequence[Override]) -> Iterator[str]:
    seen: dict[tuple[str, frozenset[str]], int] = {}
    for line in lines:
        what = frozenset({line.what, line.other or ""})
        opposite = _OPPOSITE.get(line.decision)
        if opposite is not None and (earlier := seen.get((opposite, what))) is not None:
            named = " and ".join(repr(shown(text)) for text in sorted(what) if text)
            yield (
                f"{FILE}, line {line.line} ({line.decision} {named}) contradicts line {earlier} ({opposite}): "
                "the later one counts"
            )
        seen[line.decision, what] = line.line
