"""How many rows each stage took in and let go on, and why it rejected the others."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.storage.folder import Storage


@dataclass(frozen=True)
class Step:
    """One stage's line in the funnel."""

    stage: str
    unit: str
    rows: int
    reasons: dict[str, int]  # most frequent first

    @property
    def passed(self) -> int:
        """Rows that go on."""
        return self.rows - sum(self.reasons.values())


def funnel(storage: Storage) -> list[Step]:
    """The steps of a build, in order; each stage that has written its table."""
    listed = storage.scan("sources", ("reject",))
    downloads = storage.scan("downloads", ("reject",))
    images = storage.scan("images", ("reject",))
    duplicates = storage.scan("duplicates", ("reject",))
    faces = storage.scan("faces", ("reject",))
    identities = storage.scan("identities", ("reject",))
    samples = storage.scan("samples", ("reject",))
    crawled = Step("crawl", "photos", len(images), _reasons(images))
    deduped = Step("dedupe", "photos", crawled.passed, _reasons(duplicates))
    first = [
        Step("list", "rows", len(listed), _reasons(listed)),
        Step("fetch", "URLs", len(downloads), _reasons(downloads)),
    ]
    if not len(downloads):  # a local source: its list is the photos themselves
        first = [step for step in first if step.reasons]
    return [
        *first,
        crawled,
        deduped,
        Step("analyse", "faces", len(faces), _reasons(faces)),
        Step("cluster", "faces", len(identities), _reasons(identities)),
        _selection(storage),
        Step("shard", "samples", len(samples), _reasons(samples)),
    ]


def _selection(storage: Storage) -> Step:
    """Targets with a reference and without; refused references are not targets, so they do not count here."""
    pairs = storage.scan("pairs", ("target", "reference", "reject"))
    without = pairs.filter(
        pc.and_(pc.is_null(pairs.column("reference")), pc.is_valid(pairs.column("reject")))
    )
    targets = len(pc.unique(pairs.column("target")))
    return Step("select", "targets", targets, _reasons(without))


def _reasons(rows: pa.Table) -> dict[str, int]:
    return dict(Counter(reason for reason in rows.column("reject").to_pylist() if reason).most_common())
