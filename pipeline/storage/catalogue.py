"""The catalogue of a table: what the footers of its parts hold, in one file, so that planning opens no part.

It is a cache in `.parts/`: the parts are the truth. An entry counts as long as the sizes and times of the part's file
and of its tar are those in the lists of their folders; all others are read again (`damage.py`: and checked).
"""

import hashlib
import json
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pyarrow.fs import FileInfo

from facerefs.pipeline.storage.blobs import blob_folder, tar_name
from facerefs.pipeline.storage.fingerprint import text_digest
from facerefs.pipeline.storage.folder import Part, Storage
from facerefs.pipeline.storage.part_writer import PartTar
from facerefs.schemas.tables import TABLES

CATALOGUE_FOLDER = ".parts"
_VERSION = 2
"""To be raised if `pipeline/inputs` joins the same columns to other rows: they are then read once more."""


@dataclass(frozen=True)
class Entry:
    """A part, with the size, time and hash of its file and the time of its tar.

    inputs: a digest of all that it was made from when that was last checked. Another digest says nothing: other rows of
    the same parts may have changed.
    """

    part: Part
    size: int
    modified_ns: int
    sha256: str
    tar_modified_ns: int | None = None
    inputs: str | None = None

    def is_of(self, file: FileInfo, tar: FileInfo | None) -> bool:
        """Whether the files in the folders have the sizes and times of this entry."""
        known = self.part.tar
        found = None if tar is None or known is None else (tar.size, tar.mtime_ns)
        wanted = None if known is None else (known.size, self.tar_modified_ns)
        return (self.size, self.modified_ns) == (file.size, file.mtime_ns) and found == wanted


@dataclass(frozen=True)
class Catalogue:
    """The finished parts of a table by name, sorted. `inputs`: of all parts together, as in `Entry`."""

    storage: Storage
    table: str
    entries: Mapping[str, Entry] = field(default_factory=dict)
    inputs: str | None = None

    @classmethod
    def of(cls, storage: Storage, table: str) -> "Catalogue":
        """The catalogue as it is now; what is new in it is also written."""
        kept = _read(storage, table)
        files = storage.listed(table)
        tars = {info.path: info for info in storage.listed(blob_folder(table))}
        by_name = {info.base_name: info for info in files}
        entries = {}
        for name in storage.parts_in(by_name):
            entry = _current(storage, table, name, kept.entries.get(name), by_name[f"{name}.parquet"], tars)
            if entry is not None:
                entries[name] = entry
        same = entries == kept.entries
        new = cls(storage, table, entries, kept.inputs if same else None)
        if not same:
            new._write()
        return new

    def with_inputs(self, whole: str | None, of_parts: Mapping[str, str | None]) -> None:
        """Note, and write, from what the parts were made, now that this has been checked."""
        entries = {name: replace(entry, inputs=of_parts.get(name)) for name, entry in self.entries.items()}
        changed = replace(self, entries=entries, inputs=whole)
        if changed != self:
            changed._write()

    def digest(self, name: str, columns: Iterable[str]) -> str:
        """A digest of the values in some columns of a part; of one that is not there, too."""
        entry = self.entries.get(name)
        return text_digest(*([] if entry is None else entry.part.values(columns)))

    def digest_of_all(self, columns: Iterable[str]) -> str:
        """A digest of the values in some columns of all parts, and of their names."""
        columns = tuple(columns)
        return text_digest(*(text for name in self.entries for text in (name, self.digest(name, columns))))

    def _write(self) -> None:
        entries = {name: asdict(entry) for name, entry in self.entries.items()}
        tree = {"version": _VERSION, "inputs": self.inputs, "parts": entries}
        self.storage.write_text(_file(self.table), json.dumps(tree | {"digest": _digest(tree)}))


def kept_entries(storage: Storage, table: str) -> Mapping[str, Entry]:
    """The entries of a table as they were last written, whether the files are still the same or not."""
    return _read(storage, table).entries


def note_all(storage: Storage) -> None:
    """Note the files of all tables as they are now, so that a later change of one is seen."""
    for table in TABLES:
        Catalogue.of(storage, table)


def digest_of_tables(storage: Storage, reads: Mapping[str, Iterable[str]]) -> str:
    """A digest of the values in some columns of some tables."""
    return text_digest(
        *(Catalogue.of(storage, table).digest_of_all(columns) for table, columns in reads.items())
    )


def _file(table: str) -> str:
    return posixpath.join(CATALOGUE_FOLDER, f"{table}.json")


def _read(storage: Storage, table: str) -> Catalogue:
    """The catalogue as it was written; an empty one if there is none that can be used."""
    data = storage.read_small(_file(table), 1 << 30)
    try:
        tree = json.loads(data or b"{}")
        if tree.pop("digest", None) != _digest(tree) or tree["version"] != _VERSION:
            return Catalogue(storage, table)
        entries = {name: _entry(entry) for name, entry in tree["parts"].items()}
        return Catalogue(storage, table, entries, tree["inputs"])
    except (ValueError, KeyError, TypeError, AttributeError):  # damaged: it is only a cache
        return Catalogue(storage, table)


def _entry(tree: dict[str, Any]) -> Entry:
    part = tree["part"]
    tar = None if part["tar"] is None else PartTar(**part["tar"])
    known = Part(**(part | {"tar": tar, "empty": tuple(part["empty"])}))
    return Entry(**(tree | {"part": known}))


def _digest(tree: Mapping[str, Any]) -> str:
    """So that a damaged digit is not taken for another number."""
    return text_digest(json.dumps(tree, sort_keys=True))


def _current(
    storage: Storage, table: str, name: str, kept: Entry | None, file: FileInfo, tars: Mapping[str, FileInfo]
) -> Entry | None:
    """The entry of a part: the kept one if nothing changed, else from its footer; None if it is damaged."""
    tar = tars.get(storage.full_path(tar_name(table, name)))
    if kept is not None and kept.is_of(file, tar):
        return kept
    part = storage.part(table, name)
    if part is None:
        return None
    with storage.open_to_read(f"{table}/{name}.parquet") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()  # type: ignore[arg-type]  # it has `readinto`
    modified_ns = None if part.tar is None or tar is None else tar.mtime_ns
    return Entry(part, file.size, file.mtime_ns, sha256, modified_ns)
