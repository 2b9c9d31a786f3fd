"""What a text of the user means in a build: a sample, a face, a photo, a URL, a SHA-256 or a person."""

import os
from collections.abc import Callable, Iterable
from difflib import get_close_matches

import pyarrow.compute as pc
from pyarrow import Table

from facerefs.pipeline.build.known_names import as_known
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.lineage.rows import Row, TableRows
from facerefs.pipeline.lineage.trace import Asked, Kind
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import shown

KINDS: tuple[Kind, ...] = ("sample", "face", "photo", "url", "sha256", "person")
SEARCHED = (
    "keys of samples and photos, ids of faces, URLs of photos and pages, SHA-256 of photos, names of people"
)
_MOST_NEAR = 5
_MOST_PEOPLE = 20_000  # whose names are compared
_NEAR = (
    ("samples", "key"),
    ("faces", "id"),
    ("sources", "key"),
    ("sources", "url"),
    ("identities", "identity"),
)
"""Where names that contain the text are looked for, if nothing has it as its name."""


def asked_for(storage: Storage, text: str, kind: Kind | None = None) -> Asked:
    """What a text means in a build: as the given kind, or as the first kind that it fits.

    Raises UserError, with names that contain the text, if there is nothing.
    """
    rows = TableRows(storage)
    written = os.fsencode(text).decode(
        "utf-8", "backslashreplace"
    )  # as `facerefs.schemas.paths` has odd bytes
    found = _found(rows, written)
    if not found:
        known = as_known(storage, [written])[written]
        found = _found(rows, known) if known != written else {}
    if kind is not None:
        found = {name: one for name, one in found.items() if name == kind}
    if not found:
        as_kind = f" as the kind {kind}" if kind else ""
        raise UserError(
            f"{shown(text)!r} is nothing that {storage.address} knows{as_kind} (searched: {SEARCHED})"
            f"{_near(storage, written)}"
        )
    name, first = next(iter(found.items()))
    others = {other: _count(one) for other, one in found.items() if other != name}
    return Asked(text, name, first.samples, first.faces, first.photos, others)


def _found(rows: TableRows, text: str) -> dict[Kind, Asked]:
    """What each kind finds; only those that find anything."""
    found = {kind: _FINDERS[kind](rows, text) for kind in KINDS}
    return {kind: one for kind, one in found.items() if one.samples or one.faces or one.photos}


def _sample(rows: TableRows, text: str) -> Asked:
    return Asked(
        text, "sample", samples=_column(rows.where("samples", [text], "key", columns=("key",)), "key")
    )


def _face(rows: TableRows, text: str) -> Asked:
    return Asked(text, "face", faces=_column(rows.where("faces", [text], "id", columns=("id",)), "id"))


def _photo(rows: TableRows, text: str) -> Asked:
    return Asked(text, "photo", photos=_column(rows.where("sources", [text], "key", columns=("key",)), "key"))


def _url(rows: TableRows, text: str) -> Asked:
    if "://" not in text:
        return Asked(text, "url")
    listed = rows.where("sources", [text], "url", "page", columns=("key",))
    fetched = rows.where("downloads", [text], "url", "final_url", columns=("key",))
    return Asked(text, "url", photos=_column([*listed, *fetched], "key"))


def _sha256(rows: TableRows, text: str) -> Asked:
    digest = text.lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        return Asked(text, "sha256")
    tables = (("images", "id"), ("downloads", "sha256"), ("sources", "sha256"))
    found = [row for table, column in tables for row in rows.where(table, [digest], column, columns=("key",))]
    return Asked(text, "sha256", photos=_column(found, "key"))


def _person(rows: TableRows, text: str) -> Asked:
    """The faces of an identity or a label, and the photos that the source gives this label."""
    people = rows.where("identities", [text], "identity", "label", columns=("face",))
    labelled = rows.where("labels", [text], "label", columns=("face",))
    photos = rows.where("sources", [text], "label", columns=("key",))
    return Asked(text, "person", faces=_column([*people, *labelled], "face"), photos=_column(photos, "key"))


_FINDERS: dict[Kind, Callable[[TableRows, str], Asked]] = {
    "sample": _sample,
    "face": _face,
    "photo": _photo,
    "url": _url,
    "sha256": _sha256,
    "person": _person,
}


def _column(rows: Iterable[Row], column: str) -> tuple[str, ...]:
    return tuple(sorted({str(row[column]) for row in rows}))


def _count(one: Asked) -> int:
    return len(one.samples) or len(one.faces) or len(one.photos)


def _near(storage: Storage, text: str) -> str:
    """A clause with names that contain the text, or its beginning; empty if there are none."""
    for part in (text, text.rpartition("/")[2], text[:8]):
        names = [name for table, column in _NEAR for name in _containing(storage, table, column, part)]
        if part and names:
            return _near_it(names)
    people = pc.unique(storage.scan("identities", ("identity",))["identity"]).drop_null()
    alike = get_close_matches(text, people.slice(0, _MOST_PEOPLE).to_pylist(), _MOST_NEAR)
    return _near_it(alike) if alike else ""


def _near_it(names: Iterable[str]) -> str:
    shortened = list(dict.fromkeys(names))[:_MOST_NEAR]
    return f"; near it: {', '.join(str(shown(name)) for name in shortened)}"


def _containing(storage: Storage, table: str, column: str, text: str) -> list[str]:
    found: Table = storage.scan(table, (column,))
    values = pc.unique(found[column]).drop_null()
    near: list[str] = values.filter(pc.match_substring(values, text, ignore_case=True)).to_pylist()
    return near[:_MOST_NEAR]
