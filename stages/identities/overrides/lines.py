"""The lines of `overrides.csv` that concern who is who, by the rows of the faces and the names they are about."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facerefs.schemas.arrays import Int64s
from facerefs.stages.identities.overrides.names import NamesSaid, consistent


@dataclass(frozen=True)
class FaceWord:
    """One line about faces: `keep` or `drop` them, or they are the `same` as, or `different` from, somebody."""

    line: int
    decision: str
    rows: tuple[int, ...]  # none: the line is about a name
    other: int | None = None  # a face
    name: str | None = None


@dataclass(frozen=True)
class Words:
    """All lines that concern these faces, in their order."""

    of_names: tuple[tuple[int, str, str, str], ...]  # line, `same` or `different`, name, name
    of_faces: tuple[FaceWord, ...]

    @property
    def rows(self) -> Int64s:
        """The faces that any line is about."""
        rows = {row for word in self.of_faces for row in (*word.rows, word.other) if row is not None}
        return np.array(sorted(rows), np.int64)

    def said_of(self, names: list[str]) -> NamesSaid:
        """What is said of names, as pairs of their numbers. Later lines win."""
        return consistent(self.of_names, {name: number for number, name in enumerate(names)})

    def renumbered(self, number: Int64s) -> "Words":
        """The same about other rows: row i has become number[i]."""
        moved = tuple(
            replace(
                word,
                rows=tuple(int(number[row]) for row in word.rows),
                other=None if word.other is None else int(number[word.other]),
            )
            for word in self.of_faces
        )
        return Words(self.of_names, moved)

    def barred(self, names: list[str], lead: Int64s) -> tuple[Int64s, Int64s]:
        """Faces, and who each of them is said not to be."""
        number = numbers(names, lead)
        pairs = {
            (row, number[word.name])
            for word in self.of_faces
            if word.decision == "different" and word.name in number
            for row in word.rows
        }
        table = np.array(sorted(pairs), np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]


def read_words(overrides: pa.Table, rows: pa.Table) -> Words:
    """The lines of `overrides` that concern clustering, about the faces `rows` (id, image, key) by row number."""
    lines = overrides.sort_by("line").to_pylist()
    where = _Where(lines, rows)
    of_names, of_faces = [], []
    for line in lines:
        number, decision, what, other = (line[column] for column in ("line", "decision", "what", "other"))
        if decision in {"keep", "drop"} and other is None:
            faces = where.face(what) or where.photo(what)
            if faces or decision == "drop":
                of_faces.append(FaceWord(number, decision, faces, name=None if faces else what))
        elif decision in {"same", "different"} and other is not None:
            one, two = where.face(what), where.face(other)
            if one:
                of_faces.append(
                    FaceWord(number, decision, one, two[0] if two else None, None if two else other)
                )
            elif two:
                of_faces.append(FaceWord(number, decision, two, name=what))
            else:
                of_names.append((number, decision, what, other))
    return Words(tuple(of_names), tuple(of_faces))


class _Where:
    """In which rows the faces and photos are that lines are about."""

    def __init__(self, lines: list[dict[str, Any]], rows: pa.Table) -> None:
        wanted = pa.array([line[side] for line in lines for side in ("what", "other")], pa.string())
        self._faces = _rows_of(rows["id"], wanted)
        self._photos = [_rows_of(rows[column], wanted) for column in ("image", "key")]

    def face(self, text: str) -> tuple[int, ...]:
        return self._faces.get(text, ())

    def photo(self, text: str) -> tuple[int, ...]:
        return next((found[text] for found in self._photos if text in found), ())


def _rows_of(column: pa.ChunkedArray, wanted: pa.Array) -> dict[str, tuple[int, ...]]:
    rows = pc.indices_nonzero(pc.is_in(column, value_set=wanted.drop_null())).to_numpy()
    found: dict[str, tuple[int, ...]] = {}
    for row, text in zip(rows.tolist(), column.take(pa.array(rows)).to_pylist(), strict=True):
        found[text] = (*found.get(text, ()), row)
    return found


def numbers(names: list[str], lead: Int64s) -> dict[str | None, int]:
    """The number of the person whom each name means."""
    return {name: int(lead[number]) for number, name in enumerate(names)}
