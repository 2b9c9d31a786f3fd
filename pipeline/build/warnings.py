"""Warnings at the end of a build: what a person should check, though no rule says that it is wrong."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from facerefs.pipeline.build.overrides import FILE, lines_cited
from facerefs.pipeline.dataset.came_back import count_came_back
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import shown
from facerefs.stages.engines.calibration import fallback_of

_CROWD = 50  # faces
_MOST_LINES_NAMED = 20
_NAMED_IN = {
    "sources": ("label",),
    "images": ("key", "id"),
    "faces": ("id",),
    "identities": ("identity",),
}
"""The columns that hold what an override line may name."""


def warn_about_unmatched_overrides(storage: Storage, console: Console) -> None:
    """Print the lines of `overrides.csv` that do nothing: they name nothing of the build, or what no line brings back.

    Photos come and go, so these lines are warnings, not errors. The first 20 are printed in full.
    """
    lines = [*_unmatched(storage), *_too_late(storage)]
    for line in lines[:_MOST_LINES_NAMED]:
        console.print(f"warning     {line}", highlight=False)
    if len(lines) > _MOST_LINES_NAMED:
        console.print(
            f"warning     and {len(lines) - _MOST_LINES_NAMED} more lines of {FILE}", highlight=False
        )


def warn_about_identities(storage: Storage, console: Console) -> None:
    """Print reasons to doubt the identities: an embedder that was not calibrated, or most faces as one person."""
    for doubt in (*_borrowed(storage), *_crowd(storage)):
        console.print(f"warning     {doubt}", highlight=False)


def say_copies_that_came_back(storage: Storage, console: Console) -> None:
    """Print how many near copies were taken after all, and why; nothing if there are none."""
    count = count_came_back(storage)
    if count and storage.parts("given_pairs"):
        copies = "1 near copy was" if count == 1 else f"{count:,} near copies were"
        console.print(f"{'':<11} {copies} kept, since published pairs may name them", highlight=False)
    elif count:
        copies = "1 near copy was" if count == 1 else f"{count:,} near copies were"
        console.print(
            f"{'':<11} {copies} taken after all: the better copy was rejected, or the faces differ",
            highlight=False,
        )


def _unmatched(storage: Storage) -> Iterator[str]:
    rows = storage.scan("overrides")
    if not len(rows):
        return
    named = pa.chunked_array([*rows["what"].chunks, *rows["other"].chunks]).drop_null()
    found = {
        text for table, columns in _NAMED_IN.items() for text in _present(storage, table, columns, named)
    }
    # An identity found without a label is gone once a line merges it into another: that line did decide something.
    cited = lines_cited(storage.scan("identities", ("why",))["why"])
    for row in rows.to_pylist():
        missing = [text for text in (row["what"], row["other"]) if text is not None and text not in found]
        if missing and row["line"] not in cited:
            what = " and ".join(repr(shown(text)) for text in missing)
            yield f"{FILE}, line {row['line']}: no face, photo, label or identity is {what}: the line does nothing"


def _too_late(storage: Storage) -> Iterator[str]:
    """The lines, other than `drop`, about faces and photos that a limit of `analyse` or `crawl` left out."""
    rows = storage.scan("overrides")
    rows = rows.filter(pc.not_equal(rows["decision"], "drop"))
    if not len(rows):
        return
    named = pa.chunked_array([*rows["what"].chunks, *rows["other"].chunks]).drop_null().combine_chunks()
    left_out: dict[str, str] = {}
    for table, columns, stage in (("images", ("key", "id"), "crawl"), ("faces", ("id",), "analyse")):
        for name in storage.parts(table):
            part = storage.read(table, name, (*columns, "reject"))
            part = part.filter(pc.is_valid(part["reject"]))
            for column in columns:
                hits = part.filter(pc.is_in(part[column], value_set=named))
                reasons = (f"{stage} left it out ({reason})" for reason in hits["reject"].to_pylist())
                left_out |= dict(zip(hits[column].to_pylist(), reasons, strict=True))
    for row in rows.to_pylist():
        for text in (row["what"], row["other"]):
            if text in left_out:
                yield (
                    f"{FILE}, line {row['line']}: the line does nothing for {shown(text)!r}: {left_out[text]}, and "
                    "only other settings bring it back"
                )


def _present(storage: Storage, table: str, columns: tuple[str, ...], named: pa.ChunkedArray) -> Iterator[str]:
    for name in storage.parts(table):
        part = storage.read(table, name, columns)
        for column in columns:
            values = pc.unique(part[column])
            yield from values.filter(pc.is_in(values, value_set=named.combine_chunks())).to_pylist()


def _borrowed(storage: Storage) -> Iterator[str]:
    """A warning for each embedder that uses the calibration of another one."""
    for embedder in pc.unique(storage.scan("faces", ("embedder",))["embedder"]).to_pylist():
        if embedder is not None and (lender := fallback_of(embedder)):
            yield (
                f"what the cosines of {shown(embedder)} mean was not measured: those of {lender} serve. "
                "Measure them with facerefs calibrate on photos with labels that can be trusted"
            )


def _crowd(storage: Storage) -> Iterator[str]:
    """A warning if one person has most of the faces that were clustered without labels."""
    rows = storage.scan("identities", ("identity", "decision"))
    found = rows.filter(pc.equal(rows["decision"], "discovered"))["identity"]
    if not len(found):
        return
    sizes = pc.value_counts(found)
    largest = max(sizes.field("counts").to_pylist())
    if largest >= _CROWD and largest > len(found) / 2:
        yield (
            f"{largest} of {len(found)} faces were found to be one person. If they are not, the threshold does not "
            "fit these photos: measure it with facerefs calibrate, and set cluster.same"
        )
