"""Rows that earlier runs made: those made from the same are copied, with their bytes, and not made again."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.fs import FileType

from facerefs.pipeline.storage.blobs import tar_name
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import BLOBS_FOLDER
from facerefs.schemas.tables import BLOB, TABLES

EARLIER_FOLDER = f"{BLOBS_FOLDER}/earlier"
MADE_FROM = "made_from"
"""The column with the digest of all that a row was made from; only rows that have one are copied."""


@dataclass(frozen=True)
class EarlierRow:
    """One row of an earlier part."""

    storage: Storage
    row: pa.Table
    column: str

    def bytes(self) -> bytes | None:
        """The row's bytes; None unless they are there and have the hash that the row says."""
        data = self.storage.read_blob(**self.row[self.column][0].as_py())
        wanted = self.row[f"{self.column}_sha256"][0].as_py()
        return data if data is not None and hashlib.sha256(data).hexdigest() == wanted else None


@dataclass(frozen=True)
class EarlierRows:
    """The rows of a table that has a column `made_from`: those of a part that is about to be replaced, those of the
    parts that were set aside, since their rows may now belong to any part, and those of other builds.

    Files that were set aside form a table of their own in `blobs/earlier/`, until all parts are made.
    """

    storage: Storage
    table: str
    others: Sequence[Storage] = ()

    @property
    def column(self) -> str:
        """The column of the rows' bytes."""
        return str(next(field.name for field in TABLES[self.table] if field.type == BLOB))

    def of(self, part: str, digests: Sequence[str | None]) -> list[EarlierRow | None]:
        """For each digest the row that was made from the same, if there is one in the part or in those set aside."""
        found: dict[str, EarlierRow] = {}
        wanted = pa.array(sorted({one for one in digests if one is not None}), pa.string())
        for storage, name in [*self._parts_elsewhere(wanted), (self.storage, part)]:
            if storage.part(self.table, name) is None:
                continue
            rows = storage.read(self.table, name)
            rows = rows.filter(pc.and_(pc.is_in(rows[MADE_FROM], wanted), pc.is_valid(rows[self.column])))
            for number, digest in enumerate(rows[MADE_FROM].to_pylist()):
                found[digest] = EarlierRow(storage, rows.slice(number, 1), self.column)
        return [None if digest is None else found.get(digest) for digest in digests]

    def set_aside(self, parts: Iterable[str]) -> None:
        """Move the files of parts away, so that they can be read until `remove_aside` is called."""
        for part in parts:
            index, tar = f"{self.table}/{part}.parquet", tar_name(self.table, part)
            if self.storage.exists(index):
                self._move(index)  # first, since a part with one counts as finished
                self._move(tar)
            elif self.storage.exists(tar) and not self._aside.exists(tar):  # a kill came between the two
                self._move(tar)

    def remove_aside(self) -> None:
        """Remove what was set aside."""
        folder = self.storage.full_path(EARLIER_FOLDER)
        if self.storage.info(EARLIER_FOLDER).type == FileType.Directory:
            self.storage.filesystem.delete_dir(folder)

    @property
    def _aside(self) -> Storage:
        return Storage(self.storage.full_path(EARLIER_FOLDER), self.storage.filesystem)

    def _move(self, name: str) -> None:
        if not self.storage.exists(name):
            return
        if self.storage.is_local:
            self._aside.local_path(name).parent.mkdir(parents=True, exist_ok=True)
        self.storage.filesystem.move(self.storage.full_path(name), self._aside.full_path(name))

    def _parts_elsewhere(self, wanted: pa.Array) -> list[tuple[Storage, str]]:
        """The parts of other builds, and those that were set aside, that have one of these digests."""
        return [
            (storage, part)
            for storage, index in self._indexes_elsewhere
            for part in index.filter(pc.is_in(index[MADE_FROM], wanted))["part"].unique().to_pylist()
        ]

    @cached_property
    def _indexes_elsewhere(self) -> list[tuple[Storage, pa.Table]]:
        return [
            (storage, storage.scan(self.table, (MADE_FROM, "part")))
            for storage in (*self.others, self._aside)
        ]
