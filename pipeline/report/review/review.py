"""The review: the least certain decisions, each with its evidence and the line of `overrides.csv` that overturns it."""

from collections import Counter
from dataclasses import dataclass

from facerefs.pipeline.build.leakage import Leakage, leakage
from facerefs.pipeline.build.overrides import lines_cited
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.review.decision import Decision, DecisionGroup
from facerefs.pipeline.report.review.override_lines import override_line
from facerefs.pipeline.report.review.uncertain_pairs import copies_of_faces, uncertain_pairs
from facerefs.pipeline.report.review.uncertain_people import uncertain_people
from facerefs.pipeline.storage.folder import Storage

_MAX_OVERRIDES = 60
_MAX_LEAKS = 8
_WHY = {"duplicates": "why", "copies": "why", "identities": "why", "pairs": "reject_detail"}


@dataclass(frozen=True)
class AppliedOverride:
    """A line of `overrides.csv`, and how many rows it decided, by table."""

    line: int
    text: str
    decided: list[tuple[str, int]]


@dataclass(frozen=True)
class Review:
    """The content of the review section."""

    groups: list[DecisionGroup]
    overrides: list[AppliedOverride]
    overrides_total: int
    leakage: Leakage
    two_names: list[Decision]


def review(storage: Storage, album: Album) -> Review:
    """The decisions of a build that a person should check."""
    groups = [*uncertain_people(storage, album), *uncertain_pairs(storage, album)]
    found = leakage(storage)
    lines = storage.scan("overrides").sort_by("line")
    decided = _decided(storage) if len(lines) else {}
    return Review(
        groups=[group for group in groups if group.total],
        overrides=[
            AppliedOverride(
                row["line"],
                override_line(row["decision"], row["what"], row["other"] or ""),
                sorted(decided.get(row["line"], Counter()).items()),
            )
            for row in lines.slice(0, _MAX_OVERRIDES).to_pylist()
        ],
        overrides_total=len(lines),
        leakage=found,
        two_names=copies_of_faces(found.two_names.slice(0, _MAX_LEAKS), album),
    )


def _decided(storage: Storage) -> dict[int, Counter[str]]:
    """How many rows of each table each line decided: line -> table -> rows, from the columns that cite the line."""
    decided: dict[int, Counter[str]] = {}
    for table, column in _WHY.items():
        for number, rows in lines_cited(storage.scan(table, (column,))[column]).items():
            decided.setdefault(number, Counter())[table] += rows
    return decided
