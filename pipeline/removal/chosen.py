"""What `facerefs purge` is asked to remove, found in a build."""

import csv
import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.removal.tombstones import Tombstones, host_of
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.names import name_key, path_key

KINDS = ("person", "photo", "url", "host")
_MAX_LIST_BYTES = 64 << 20
_OF_PHOTO = ("key", "url")
_OF_IMAGE = ("key", "id", "phash", "phash_mirror", "detail_hash")


@dataclass(frozen=True)
class Asked:
    """One thing to remove: its kind, one of `KINDS`, and its value as the user wrote it."""

    kind: str
    value: str


@dataclass
class Chosen:
    """What was found: for each thing that was asked for its number of photos, and the keys of all photos."""

    photos: list[int] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)  # names that go for good, whoever else is shown
    urls: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)

    def tombstones(self, storage: Storage, before: Tombstones, with_looks: bool = True) -> Tombstones:
        """The tombstones of before, and those of what was chosen.

        with_looks: also the perceptual hashes. Without them copies of a copy stay: else a chain of ever less similar
        photos would be removed.
        """
        rows: dict[str, dict[str, Any]] = {key: {"key": key} for key in self.keys}
        of_image = _OF_IMAGE if with_looks else _OF_IMAGE[:2]
        for table, columns in (("sources", _OF_PHOTO), ("images", of_image)):
            for row in rows_with(storage, table, "key", self.keys, columns):
                rows[row["key"]].update(row)
        removed = before.with_photos(rows.values())
        for name in sorted(self.people):
            removed = removed.with_person(name)
        for url in sorted(self.urls):
            removed = removed.with_url(url)
        for host in sorted(self.hosts):
            removed = removed.with_host(host)
        return removed


def read_list(path: Path) -> list[Asked]:
    """The lines KIND,VALUE of a CSV file. Raises UserError for a file or a line that cannot be understood."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read --list {path}: {error.strerror}") from None
    if len(data) > _MAX_LIST_BYTES:
        raise UserError(f"--list {path} has more than 64 MB: divide it")
    try:
        lines = list(csv.reader(data.decode("utf-8-sig").splitlines(), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--list {path} is no CSV in UTF-8 ({error})") from None
    asked = []
    for number, line in enumerate(lines, 1):
        if not line or (number == 1 and [one.strip().lower() for one in line] == ["kind", "value"]):
            continue
        if len(line) != 2 or line[0].strip() not in KINDS or not line[1].strip():
            raise UserError(
                f"--list {path}, line {number}: write KIND,VALUE, with {', '.join(KINDS)} as KIND, such as "
                "url,https://example.org/a.jpg"
            )
        asked.append(Asked(line[0].strip(), line[1].strip()))
    return asked


def chosen(storage: Storage, asked: Iterable[Asked], before: Tombstones) -> Chosen:
    """What was asked for, in this build. Raises UserError for what is neither in it nor was removed from it before."""
    found = Chosen()
    for one in asked:
        keys = set(_keys(storage, one))
        if not keys and not _was_removed(one, before):
            raise UserError(_unknown(storage, one))
        found.photos.append(len(keys))
        found.keys |= keys
        if one.kind == "person":
            found.people |= {one.value, *_spellings(storage, one.value)}
        elif one.kind == "url":
            found.urls.add(one.value)
        elif one.kind == "host":
            found.hosts.add(_host(one.value))
    return found


def rows_with(
    storage: Storage, table: str, column: str, values: set[str], columns: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """The rows of a table that have one of the values in a column."""
    wanted = pa.array(sorted(values), pa.string())
    for name in storage.parts(table) if values else ():
        rows = storage.read(table, name, tuple(dict.fromkeys((column, *columns))))
        yield from rows.filter(pc.is_in(rows[column], value_set=wanted)).to_pylist()


def _keys(storage: Storage, one: Asked) -> Iterator[str]:
    match one.kind:
        case "person":
            yield from _keys_of_person(storage, one.value)
        case "photo":
            yield from (
                row["key"] for row in _rows(storage, "images", ("key", "id")) if one.value == row["id"]
            )
            same = path_key(one.value)
            yield from (
                row["key"] for row in _rows(storage, "sources", ("key",)) if path_key(row["key"]) == same
            )
        case "url":
            yield from _keys_at(storage, lambda url: url == one.value)
        case _:
            host = _host(one.value)
            yield from _keys_at(storage, lambda url: _is_below(url, host))


def _keys_at(storage: Storage, is_meant: Callable[[str], bool]) -> Iterator[str]:
    """The photos of which a URL, that of their page, or the one after redirects is meant."""
    for table, columns in (("sources", ("url", "page")), ("downloads", ("final_url",))):
        for row in _rows(storage, table, ("key", *columns)):
            if any(row[column] is not None and is_meant(row[column]) for column in columns):
                yield row["key"]


def _keys_of_person(storage: Storage, name: str) -> Iterator[str]:
    """The photos that are listed under a name, and all that show a face that was given to this person."""
    for row in _rows(storage, "sources", ("key", "label")):
        if row["label"] is not None and name_key(row["label"]) == name_key(name):
            yield row["key"]
    of_person = {
        row["face"]
        for row in _rows(storage, "identities", ("face", "identity"))
        if row["identity"] is not None and name_key(row["identity"]) == name_key(name)
    }
    for row in rows_with(storage, "faces", "id", of_person, ("key",)):
        yield row["key"]


def _spellings(storage: Storage, name: str) -> Iterator[str]:
    for table, column in (("sources", "label"), ("identities", "identity")):
        for part in storage.parts(table):
            values = pc.unique(storage.read(table, part, (column,))[column]).drop_null().to_pylist()
            yield from (value for value in values if name_key(value) == name_key(name))


def _rows(storage: Storage, table: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for name in storage.parts(table):
        yield from storage.read(table, name, columns).to_pylist()


def _host(text: str) -> str:
    return (host_of(text) if "://" in text else text.lower().rstrip(".")) or text


def _is_below(url: str, host: str) -> bool:
    own = host_of(url)
    return own is not None and (own == host or own.endswith(f".{host}"))


def _was_removed(one: Asked, before: Tombstones) -> bool:
    match one.kind:
        case "person":
            return before.digest("person", name_key(one.value)) in before.people
        case "photo":
            return before.digest("key", path_key(one.value)) in before.keys or before.has_bytes(one.value)
        case "url":
            return before.has_url(one.value)
        case _:
            return before.digest("host", _host(one.value)) in before.hosts


def _unknown(storage: Storage, one: Asked) -> str:
    searched = {
        "person": "label of a photo or name of a person",
        "photo": "key or SHA-256 of a photo",
        "url": "URL or page of a photo",
        "host": "host of a photo",
    }
    near: list[str] = []
    if one.kind in ("person", "photo"):
        table, column = ("sources", "label" if one.kind == "person" else "key")
        values = {row[column] for row in _rows(storage, table, (column,)) if row[column] is not None}
        near = difflib.get_close_matches(one.value, sorted(values)[:100_000], 3)
    hint = f": did you mean {' or '.join(near)}?" if near else ""
    return (
        f"--{one.kind} {one.value} is no {searched[one.kind]} in this build{hint or ': nothing was removed'}"
    )
