"""The input of the stage `fetch`: the rows of the source whose photos are on the web."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.storage.catalogue import Catalogue
from facerefs.pipeline.storage.fingerprint import changed_settings, rows_digest, text_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.fetch import Fetch


@dataclass(frozen=True)
class FetchInput:
    """The rows of `sources` that have a URL and no photo."""

    storage: Storage

    def names(self) -> Sequence[str]:
        """Names of the parts of `sources` that have such rows."""
        parts = [entry.part for entry in Catalogue.of(self.storage, "sources").entries.values()]
        return [part.name for part in parts if "url" not in part.empty and len(self.read(part.name))]

    def read(self, name: str) -> pa.Table:
        """Keys, URLs and expected SHA-256 of such rows of one part."""
        rows = self.storage.read("sources", name, Fetch.reads["sources"])
        remote = pc.and_(pc.is_valid(rows["url"]), pc.is_null(rows["photo"]))
        return rows.filter(pc.and_(remote, pc.is_null(rows["reject"]))).select(["key", "url", "sha256"])


def download_fingerprint(stage: Fetch, rows: pa.Table) -> str:
    """What a part of `downloads` is made from: the settings that decide which photos are had, and its rows to fetch."""
    changed = changed_settings(stage)
    rules = {name: changed[name] for name in Fetch.rules if name in changed}
    return text_digest(json.dumps([stage.version, rules]), rows_digest(rows))
