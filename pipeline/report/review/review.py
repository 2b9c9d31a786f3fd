"""The least certain decisions, each with what speaks for it and the line of `overrides.csv` that overturns it."""

from collections import Counter
from dataclasses import dataclass

from facerefs.pipeline.build.leakage import Leakage, leakage
from facerefs.pipeline.build.overrides import lines_cited
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.review.decision import Decision, Group
from facerefs.pipeline.report.review.doubtful_pairs import copies_of_faces, doubtful_pairs
from facerefs.pipeline.report.review.doubtful_people import doubtful_people
from facerefs.pipeline.report.review.paste import line
from facerefs.pipeline.storage.folder import Storage

_LINES = 60
_LEAKS = 8
_WHY = {"duplicates": "why", "copies": "why", "identities": "why", "pairs": "reject_detail"}


@dataclass(frozen=True)
class Said:
    """A line of `overrides.csv`, and how many rows of which tables it decided."""

    number: int
    text: str
    decided: list[tuple[str, int]]


@dataclass(frozen=True)
class Review:
    """All of it."""

    groups: list[Group]
    said: list[Said]
    said_total: int
    leakage: Leakage
    two_names: list[Decision]


def review(storage: Storage, album: Album) -> Review:
    """Collect the decisions to look at."""
    groups = [*doubtful_people(storage, album), *doubtful_pairs(storage, album)]
    found = leakage(storage)
    lines = storage.scan("overrides").sort_by("line")
    decided = _decided(storage) if len(lines) else {}
    return Review(
        groups=[group for group in groups if group.total],
        said=[
            Said(
                row["line"],
                line(row["decision"], row["what"], row["other"] or ""),
                sorted(decided.get(row["line"], Counter()).items()),
            )
            for row in lines.slice(0, _LINES).to_pylist()
        ],
        said_total=len(lines),
        leakage=found,
        two_names=copies_of_faces(found.two_names.slice(0, _LEAKS), album),
    )


def _decided(storage: Storage) -> dict[int, Counter[str]]:
    """How many rows of each table each line decided, from what they say of why they are as they are."""
    decided: dict[int, Counter[str]] = {}
    for table, column in _WHY.items():
        for number, rows in lines_cited(storage.scan(table, (column,))[column]).items():
            decided.setdefault(number, Counter())[table] += rows
    return decided
