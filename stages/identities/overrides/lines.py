"""The lines of `overrides.csv` about identities, with faces as row numbers."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facerefs.schemas.arrays import Int64s
from facerefs.stages.identities.overrides.names import NameOverrides, consistent_overrides


@dataclass(frozen=True)
class FaceOverride:
    """One line about faces: `keep` or `drop` them, or they show the `same` or a `different` person."""

    line: int
    decision: str
    rows: tuple[int, ...]  # empty if the line is about a name
    other: int | None = None  # the row of another face
    name: str | None = None  # of a label or an identity


@dataclass(frozen=True)
class IdentityOverrides:
    """All lines about a table of faces and about names, in the order of the file."""

    name_lines: tuple[tuple[int, str, str, str], ...]  # line, `same` or `different`, name, name
    face_lines: tuple[FaceOverride, ...]

    @property
    def rows(self) -> Int64s:
        """The rows of all faces that a line is about."""
        rows = {row for line in self.face_lines for row in (*line.rows, line.other) if row is not None}
        return np.array(sorted(rows), np.int64)

    def name_overrides(self, names: list[str]) -> NameOverrides:
        """The lines about two names, as pairs of their numbers in `names`. Later lines win."""
        return consistent_overrides(self.name_lines, {name: number for number, name in enumerate(names)})

    def renumbered(self, number: Int64s) -> "IdentityOverrides":
        """The same lines with row i replaced by number[i]."""
        moved = tuple(
            replace(
                line,
                rows=tuple(int(number[row]) for row in line.rows),
                other=None if line.other is None else int(number[line.other]),
            )
            for line in self.face_lines
        )
        return IdentityOverrides(self.name_lines, moved)

    def excluded(self, names: list[str], merged_into: Int64s) -> tuple[Int64s, Int64s]:
        """Pairs of a face and a person who it does not show, by `different` lines: rows and numbers of persons."""
        number = person_numbers(names, merged_into)
        pairs = {
            (row, number[line.name])
            for line in self.face_lines
            if line.decision == "different" and line.name in number
            for row in line.rows
        }
        table = np.array(sorted(pairs), np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]


def read_identity_overrides(overrides: pa.Table, rows: pa.Table) -> IdentityOverrides:
    """The lines of the table `overrides` that concern clustering. rows: the faces, with columns id, image, key."""
    lines = overrides.sort_by("line").to_pylist()
    index = _RowIndex(lines, rows)
    name_lines, face_lines = [], []
    for line in lines:
        number, decision, what, other = (line[column] for column in ("line", "decision", "what", "other"))
        if decision in {"keep", "drop"} and other is None:
            faces = index.face(what) or index.photo(what)
            if faces or decision == "drop":
                face_lines.append(FaceOverride(number, decision, faces, name=None if faces else what))
        elif decision in {"same", "different"} and other is not None:
            one, two = index.face(what), index.face(other)
            if one:
                face_lines.append(
                    FaceOverride(number, decision, one, two[0] if two else None, None if two else other)
                )
            elif two:
                face_lines.append(FaceOverride(number, decision, two, name=what))
            else:
                name_lines.append((number, decision, what, other))
    return IdentityOverrides(tuple(name_lines), tuple(face_lines))


class _RowIndex:
    """The rows of the faces and photos that the lines name."""

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


def person_numbers(names: list[str], merged_into: Int64s) -> dict[str | None, int]:
    """For each name the number of the person it stands for, after names were merged."""
    return {name: int(merged_into[number]) for number, name in enumerate(names)}
