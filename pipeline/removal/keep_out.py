"""Keeps what was removed out of a build: from the list of its source, and after the photos are known by their bytes."""

from collections import Counter

import pyarrow as pa

from facerefs.pipeline.config.config import Config
from facerefs.pipeline.removal.chosen import Chosen
from facerefs.pipeline.removal.matches import removed_keys
from facerefs.pipeline.removal.parts import PartsWithoutPhotos
from facerefs.pipeline.removal.tombstones import Tombstones
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import plural


class KeptOut:
    """The tombstones of a build, and how many photos they kept out of it in this run."""

    def __init__(self, storage: Storage, config: Config) -> None:
        self._storage, self._config = storage, config
        self._removed = Tombstones.of(storage)
        self.counts: Counter[str] = Counter()

    @property
    def is_needed(self) -> bool:
        """Whether anything was ever removed from the build."""
        return self._removed is not None

    def finish_removal(self) -> None:
        """Finish a removal that was killed; its photos are counted when the source is listed."""
        self.remove_known()
        self.counts.clear()

    def without(self, rows: pa.Table) -> pa.Table:
        """The rows of a source that may be in the build."""
        if self._removed is None:
            return rows
        listed = self._removed.listed(rows)
        self.counts["listed"] += sum(listed)
        return rows.filter(pa.array([not one for one in listed], pa.bool_())) if any(listed) else rows

    def remove_known(self) -> None:
        """Remove from the tables the photos that are removed ones by key, bytes or looks; their keys stay removed.

        Before the source is listed this finishes what a killed removal began; after the crawl it finds new copies.
        """
        if self._removed is None:
            return
        found = removed_keys(self._storage, self._removed, self._config.dedupe)
        if found:
            self.counts.update(found.values())
            removed = Chosen(keys=set(found)).tombstones(self._storage, self._removed, with_looks=False)
            removed.write(self._storage)
            self._removed = removed
        PartsWithoutPhotos(self._storage, self._config, set(found)).remove()

    @property
    def sentence(self) -> str | None:
        """How many photos were kept out, and why; None if none were."""
        if not self.counts.total():
            return None
        words = {
            "listed": "by key, URL or name",
            "bytes": "by their bytes",
            "copy": "as copies of removed photos",
        }
        why = ", ".join(f"{self.counts[kind]} {text}" for kind, text in words.items() if self.counts[kind])
        return f"{plural(self.counts.total(), 'photo')} of the source stay out, as facerefs purge removed them ({why})"
