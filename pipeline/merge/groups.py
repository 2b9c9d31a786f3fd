"""Groups of near copies, as `analyse` gets them: what a build found out about one holds wherever it is the same."""

import hashlib
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pyarrow as pa

Group = list[dict[str, Any]]
"""The rows of `AnalyseInput` of one group: the kept photo, then its near copies."""
Signature = bytes


def groups_of(rows: pa.Table) -> Iterator[Group]:
    """The groups of rows of `AnalyseInput`, in their order."""
    for _, group in groupby(rows.to_pylist(), key=lambda row: row["group"]):
        yield list(group)


def signature(group: Group) -> Signature:
    """A digest of the photos of a group, and of how certain its copies are."""
    text = repr([(row["id"], row["certain"]) for row in group])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def signatures_of(rows: pa.Table) -> set[Signature]:
    """The signatures of the groups of more than one photo."""
    return {signature(group) for group in groups_of(rows) if len(group) > 1}
