"""The input of the stage `crawl`: the photos of the source that are available."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.storage.catalogue import Catalogue
from facerefs.pipeline.storage.fingerprint import text_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.crawl import Crawl


@dataclass(frozen=True)
class CrawlInput:
    """The location of each photo: in the source if it is local, else in the build, where it was downloaded to."""

    storage: Storage

    def names(self) -> Sequence[str]:
        """Names of the parts of `sources`."""
        return self.storage.parts("sources")

    def digest_of_all(self) -> str:
        """Of all that is read of any part."""
        return text_digest(
            *(catalogue.digest_of_all(Crawl.reads[catalogue.table]) for catalogue in self._catalogues)
        )

    def digest(self, name: str) -> str:
        """Of all that is read of one part."""
        return text_digest(
            *(catalogue.digest(name, Crawl.reads[catalogue.table]) for catalogue in self._catalogues)
        )

    @cached_property
    def _catalogues(self) -> tuple[Catalogue, ...]:
        return tuple(Catalogue.of(self.storage, table) for table in Crawl.reads)

    def __getstate__(self) -> dict[str, Any]:
        """The state without the catalogues, which only the driver needs."""
        return {"storage": self.storage}

    def read(self, name: str) -> pa.Table:
        """Rows of one part of `sources`; downloaded photos have the location and SHA-256 of the downloaded bytes."""
        listed = self.storage.read("sources", name, Crawl.reads["sources"])
        listed = listed.filter(pc.is_null(listed["reject"])).drop_columns(["reject"])
        if self.storage.part("downloads", name) is None:
            return listed
        fetched = self.storage.read("downloads", name, Crawl.reads["downloads"])
        at = pc.index_in(listed["key"].combine_chunks(), value_set=fetched["key"].combine_chunks())
        fetched = fetched.take(at)
        goes_on = pc.and_(pc.is_null(fetched["reject"]), pc.is_valid(at))
        for column in ("photo", "sha256"):
            values = pc.if_else(pc.is_valid(at), fetched[column], listed[column])
            listed = listed.set_column(listed.column_names.index(column), column, values)
        return listed.filter(pc.or_(goes_on, pc.is_null(at)))
