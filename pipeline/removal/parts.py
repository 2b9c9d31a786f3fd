"""Takes photos out of the tables of a build, with their bytes; what was made of the others stays.

A part without some of its photos gets the name and the fingerprints that a new build would give it, so that nothing
else is made again. It can be killed at any moment and run again: a part is removed only when all that is to stay of it
lies in another one.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.config.config import Config
from facerefs.pipeline.inputs.analyse import AnalyseInput
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.inputs.fetch import FetchInput, download_fingerprint
from facerefs.pipeline.runner.partition import part_name
from facerefs.pipeline.runner.runner import part_fingerprint
from facerefs.pipeline.storage.copied import copied
from facerefs.pipeline.storage.fingerprint import rows_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import SOURCES

_ANOTHER = "some of its photos were removed"  # the fingerprint of a part that is to be made anew


@dataclass
class PartsWithoutPhotos:
    """Removes photos from the parts of `sources`, `downloads`, `images` and `faces`; counts what it removed."""

    storage: Storage
    config: Config
    keys: Collection[str]
    rows: dict[str, int] = field(default_factory=dict)  # removed ones, by table

    def remove(self) -> None:
        """Remove the photos with these keys, and finish what a killed removal left half done.

        Raises DamagedFileError, RunError for bytes that are damaged.
        """
        removed = pa.array(sorted(self.keys), pa.string())
        for name in self.storage.parts("sources") if self.keys else ():
            self._shorten(name, removed)
        for name in self.storage.parts("faces"):
            self._shorten_faces(name, removed)

    def _shorten(self, name: str, removed: pa.Array) -> None:
        """Write the part of `sources`, `downloads` and `images` that stays, then remove the old one."""
        rows = self._kept("sources", name, removed)
        if rows is None:
            return
        new = part_name(rows["key"].to_pylist())
        is_current = self._images_are_current(name)
        if len(rows):
            with self.storage.writing("sources", new, _fingerprint(rows)) as part:
                part.add(copied(rows, "photo", None, self.storage, part))
            self._shorten_downloads(name, new, removed)
            self._shorten_images(name, new, removed, is_current)
        else:
            for table in ("downloads", "images"):
                self._kept(table, name, removed)  # to count them
        for table in ("images", "downloads", "sources"):
            self.storage.remove_part(table, name)

    def _shorten_downloads(self, name: str, new: str, removed: pa.Array) -> None:
        fetch = self.config.fetch
        before = self.storage.part("downloads", name)
        inputs = FetchInput(self.storage)
        was_current = before is not None and before.fingerprint == download_fingerprint(
            fetch, inputs.read(name)
        )
        rows = self._kept("downloads", name, removed, always=True)
        if rows is None:
            return
        fingerprint = download_fingerprint(fetch, inputs.read(new)) if was_current else _ANOTHER
        with self.storage.writing("downloads", new, fingerprint, digest=False) as part:
            part.add(copied(rows, "photo", "sha256", self.storage, part))

    def _images_are_current(self, name: str) -> bool:
        part = self.storage.part("images", name)
        return part is not None and part.fingerprint == part_fingerprint(
            self.config.crawl, CrawlInput(self.storage).read(name)
        )

    def _shorten_images(self, name: str, new: str, removed: pa.Array, is_current: bool) -> None:
        rows = self._kept("images", name, removed, always=True)
        if rows is None:
            return
        listed = CrawlInput(self.storage).read(new)
        fingerprint = part_fingerprint(self.config.crawl, listed) if is_current else _ANOTHER
        with self.storage.writing("images", new, fingerprint) as part:
            if self.config.crawl.copy:
                part.add(copied(rows, "photo", "id", self.storage, part))
            else:  # photos that were fetched lie elsewhere now
                at = pc.index_in(rows["key"], value_set=listed["key"].combine_chunks())
                places = listed["photo"].combine_chunks().take(at.combine_chunks())
                part.add(
                    rows.set_column(rows.column_names.index("photo"), rows.schema.field("photo"), places)
                )

    def _shorten_faces(self, name: str, removed: pa.Array) -> None:
        """Write the part of `faces` that stays, under the name that its photos' part of `images` has now."""
        is_named_so = name in self.storage.parts("images")
        rows = self._kept("faces", name, removed, always=not is_named_so)
        if rows is None:
            return
        without_faces = set(self.storage.parts("images")) - set(self.storage.parts("faces"))
        for new in [name] if is_named_so else sorted(without_faces):
            photos = AnalyseInput(self.storage, bool(self.config.given.pairs)).read(new)
            photos = photos.filter(
                pc.is_valid(photos["id"])
            )  # `duplicates` may still name a photo that is gone
            of_part = rows.filter(pc.is_in(rows["key"], value_set=photos["key"].combine_chunks()))
            if is_named_so or len(of_part):
                self._write_faces(new, photos, of_part)
        if not is_named_so:
            self.storage.remove_part("faces", name)

    def _write_faces(self, name: str, photos: pa.Table, rows: pa.Table) -> None:
        firsts = photos.filter(pc.equal(photos["id"], photos["group"]))["key"]
        missing = pc.invert(pc.is_in(firsts, value_set=rows["key"].combine_chunks()))
        is_whole = not pc.any(missing).as_py()
        fingerprint = part_fingerprint(self.config.analyse, photos) if is_whole else _ANOTHER
        with self.storage.writing("faces", name, fingerprint) as part:
            for column in ("crop", "mask"):
                rows = copied(rows, column, f"{column}_sha256", self.storage, part)
            part.add(rows)

    def _kept(self, table: str, name: str, removed: pa.Array, always: bool = False) -> pa.Table | None:
        """The rows of a part that stay, the others counted; None if all stay, unless `always`, or if there is none."""
        if self.storage.part(table, name) is None:
            return None
        goes = pc.is_in(self.storage.read(table, name, ("key",))["key"], value_set=removed)
        count = int(pc.sum(goes).as_py() or 0)
        if not count and not always:
            return None
        self.rows[table] = self.rows.get(table, 0) + count
        return self.storage.read(table, name).filter(pc.invert(goes))


def _fingerprint(rows: pa.Table) -> str:
    """As the list of the source gives it to the part."""
    return rows_digest(rows.cast(SOURCES))
