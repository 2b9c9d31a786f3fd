"""The input of the stage `analyse`: the photos that were not rejected."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.analyse import Analyse


@dataclass(frozen=True)
class AnalyseInput:
    """The photos that neither crawl nor dedupe rejected."""

    storage: Storage

    def names(self) -> Sequence[str]:
        """Names of the parts of `images`."""
        return self.storage.parts("images")

    def read(self, name: str) -> pa.Table:
        """Key, id and location of the photos of one part."""
        rows = self.storage.read("images", name, Analyse.reads["images"])
        dropped = pc.is_in(rows["key"], value_set=self._dropped)
        goes_on = pc.and_(pc.is_null(rows["reject"]), pc.invert(dropped))
        return rows.filter(goes_on).drop_columns(["reject"])

    @cached_property
    def _dropped(self) -> pa.Array:
        duplicates = self.storage.scan("duplicates", Analyse.reads["duplicates"])
        return duplicates.filter(pc.is_valid(duplicates["reject"]))["key"].combine_chunks()
