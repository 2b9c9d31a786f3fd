"""Reasons to doubt a build that is about to be done, as warnings: nothing is wrong with it that a rule could tell."""

from collections.abc import Iterator

import pyarrow.compute as pc
from rich.console import Console

from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import shown
from facerefs.stages.engines.calibration import fallback_of

_CROWD = 50  # faces


def tell(storage: Storage, console: Console) -> None:
    """Say what a person should look at before believing who is who."""
    for doubt in (*_borrowed(storage), *_crowd(storage)):
        console.print(f"warning     {doubt}", highlight=False)


def _borrowed(storage: Storage) -> Iterator[str]:
    """Embedders whose cosines nobody measured."""
    for embedder in pc.unique(storage.scan("faces", ("embedder",))["embedder"]).to_pylist():
        if embedder is not None and (lender := fallback_of(embedder)):
            yield (
                f"what the cosines of {shown(embedder)} mean was not measured: those of {lender} serve. "
                "Measure them with facerefs calibrate on photos with labels that can be trusted"
            )


def _crowd(storage: Storage) -> Iterator[str]:
    """A person, found by looks alone, who is most of all that were found."""
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
