"""The funnel: how many rows each stage received and passed on, and why it rejected the others."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.dataset.came_back import duplicates_after_analysis
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject


@dataclass(frozen=True)
class FunnelStep:
    """One stage of the funnel. reasons: rejected rows by reason."""

    stage: str
    unit: str
    rows: int
    reasons: dict[str, int]  # most frequent first

    @property
    def passed(self) -> int:
        """The number of rows that were not rejected."""
        return self.rows - sum(self.reasons.values())


def funnel(storage: Storage) -> list[FunnelStep]:
    """The stages of a build, in order; `list` and `fetch` are left out for a local source without rejected rows."""
    listed = storage.scan("sources", ("reject",))
    downloads = storage.scan("downloads", ("reject",))
    images = storage.scan("images", ("reject",))
    duplicates = duplicates_after_analysis(storage, ("key", "reject"))
    faces = storage.scan("faces", ("reject",))
    identities = storage.scan("identities", ("reject",))
    samples = storage.scan("samples", ("reject",))
    crawled = FunnelStep("crawl", "photos", len(images), _reasons(images))
    deduped = FunnelStep("dedupe", "photos", crawled.passed, _reasons(duplicates))
    first = [
        FunnelStep("list", "rows", len(listed), _reasons(listed)),
        FunnelStep("fetch", "URLs", len(downloads), _reasons(downloads)),
    ]
    if not len(downloads):  # a local source: its list is the photos themselves
        first = [step for step in first if step.reasons]
    return [
        *first,
        crawled,
        deduped,
        FunnelStep("analyse", "faces", len(faces), _reasons(faces)),
        FunnelStep("cluster", "faces", len(identities), _reasons(identities)),
        _selection(storage),
        *([_splits(storage)] if storage.parts("splits") else []),
        FunnelStep("shard", "samples", len(samples), _reasons(samples)),
    ]


def _selection(storage: Storage) -> FunnelStep:
    """Targets with and without a reference. Refused references are not targets and do not count."""
    pairs = storage.scan("pairs", ("target", "reference", "reject"))
    without = pairs.filter(
        pc.and_(pc.is_null(pairs.column("reference")), pc.is_valid(pairs.column("reject")))
    )
    targets = len(pc.unique(pairs.column("target")))
    if storage.parts("given_pairs"):  # a list may name a target in several rows
        kept = pc.unique(pairs.filter(pc.is_null(pairs["reject"]))["target"])
        without = without.filter(pc.invert(pc.is_in(without["target"], value_set=kept)))
        without = without.group_by("target", use_threads=False).aggregate([("reject", "first")])
        without = without.rename_columns({"reject_first": "reject"})
    return FunnelStep("select", "targets", targets, _reasons(without))


def _splits(storage: Storage) -> FunnelStep:
    """Targets with and without a published split. Lines that mean nothing or contradict another do not count."""
    splits = storage.scan("splits", ("target", "reject"))
    without = splits.filter(pc.equal(splits["reject"], str(Reject.NO_SPLIT)).fill_null(False))
    return FunnelStep("split", "targets", int(splits["reject"].null_count) + len(without), _reasons(without))


def _reasons(rows: pa.Table) -> dict[str, int]:
    return dict(Counter(reason for reason in rows.column("reject").to_pylist() if reason).most_common())
