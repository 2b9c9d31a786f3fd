"""The input of the stage `analyse`: the photos that were not rejected, and the copies that may take their place."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.runner.runner import MAX_ROWS_AT_ONCE
from facerefs.pipeline.storage.catalogue import digest_of_tables
from facerefs.pipeline.storage.fingerprint import text_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import IMAGES
from facerefs.stages.analyse import Analyse
from facerefs.stages.join import left_join

_PHOTO = ("key", "id", "photo")
_NO_PHOTOS = IMAGES.empty_table().select(_PHOTO)


@dataclass(frozen=True)
class AnalyseInput:
    """Each photo that neither crawl nor dedupe rejected, followed by its near copies, best first.

    At most 15 copies of a photo, since a worker holds them together. Of the further ones those that are not certain
    are photos of their own, which `compare` judges by their faces.

    near_copies_too: every near copy is a photo of its own, as published pairs may name it.
    """

    storage: Storage
    near_copies_too: bool = False

    def names(self) -> Sequence[str]:
        """Names of the parts of `images`."""
        return self.storage.parts("images")

    def digest_of_all(self) -> str:
        """Of all that is read of any part."""
        read = digest_of_tables(self.storage, Analyse.reads)
        return text_digest(read, "near copies too") if self.near_copies_too else read

    def digest(self, name: str) -> None:
        """Only the rows tell: the copies of a photo may be in other parts."""

    def read(self, name: str) -> pa.Table:
        """The photos of one part, each before its copies: key, id, location, and `group` and `certain` of `Analyse`."""
        photos = self._photos(name)
        kept = photos.filter(pc.invert(pc.is_in(photos["key"], value_set=self._dropped)))
        kept = kept.append_column("group", kept["id"])
        kept = kept.append_column("certain", pa.array(np.ones(len(kept), bool)))
        after = pc.index_in(self._copies["of"], value_set=kept["id"].combine_chunks())
        copies = self._copies.append_column("after", after).filter(pc.is_valid(after))
        rows = pa.concat_tables([kept, copies.select(kept.column_names).cast(kept.schema)])
        place = np.concatenate([np.arange(len(kept)), copies["after"].to_numpy()])
        return rows.take(pa.array(np.argsort(place, kind="stable")))

    def _photos(self, part: str) -> pa.Table:
        """Key, id and location of the photos of a part of `images` that were not rejected."""
        photos = self.storage.read("images", part, Analyse.reads["images"])
        return photos.filter(pc.is_null(photos["reject"])).select(_PHOTO)

    @cached_property
    def _duplicates(self) -> pa.Table:
        rows = self.storage.scan("duplicates", Analyse.reads["duplicates"])
        if self.near_copies_too:
            rows = rows.filter(pc.not_equal(rows["reject"], Reject.DUPLICATE_NEAR))
        return rows.filter(pc.is_valid(rows["reject"]))

    @cached_property
    def _dropped(self) -> pa.Array:
        return self._duplicates["key"].combine_chunks()

    @cached_property
    def _copies(self) -> pa.Table:
        """The photos of `read` that follow a kept photo, with its id in `of`; each once, by its bytes."""
        near = self._duplicates.filter(pc.equal(self._duplicates["reject"], Reject.DUPLICATE_NEAR))
        first_of_bytes = np.unique(near["id"].to_numpy(), return_index=True)[1]
        near = near.take(pa.array(np.sort(first_of_bytes)))
        groups = near["group"].to_numpy()
        begins = np.append(True, groups[1:] != groups[:-1])[: len(groups)]
        rank = np.arange(len(groups)) - np.flatnonzero(begins)[np.cumsum(begins) - 1]
        together, certain = rank < MAX_ROWS_AT_ONCE - 1, near["certain"].to_numpy()
        group = pc.if_else(pa.array(together), near["group"], near["id"])
        near = pa.table({"key": near["key"], "of": near["group"], "group": group, "certain": near["certain"]})
        return self._located(near.filter(pa.array(together | ~certain)))

    def _located(self, copies: pa.Table) -> pa.Table:
        """The copies with id and location. They may be in any part, so each is read, and no more of it is held."""
        keys = copies["key"].combine_chunks()
        found = [_NO_PHOTOS]
        for part in self.names() if len(keys) else ():
            photos = self._photos(part)
            found.append(photos.filter(pc.is_in(photos["key"], value_set=keys)))
        return left_join(copies, "key", pa.concat_tables(found), "key")
