"""Makes the table `sources`: the list of photos of the source, split into parts."""

from collections.abc import Iterable
from contextlib import nullcontext

import pyarrow as pa
from rich.console import Console

from facerefs.pipeline.build.moved_photos import MovedPhotos
from facerefs.pipeline.removal.keep_out import KeptOut
from facerefs.pipeline.runner.partition import split_into_parts
from facerefs.pipeline.runner.progress import BuildWatch, StageProgress
from facerefs.pipeline.runner.runner import count_rejected
from facerefs.pipeline.storage.catalogue import Catalogue
from facerefs.pipeline.storage.fingerprint import rows_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import shown
from facerefs.stages.sources.source import PhotoSource
from facerefs.stages.sources.spellings import Spellings

LISTED_FILE = "listed.yaml"


def update_sources(
    source: PhotoSource,
    listing_key: str,
    rows_per_part: int,
    storage: Storage,
    console: Console,
    again: bool,
    moved: MovedPhotos | None = None,
    watch: BuildWatch | None = None,
    kept_out: KeptOut | None = None,
) -> list[str]:
    """Update the table `sources` to what the source lists now; returns the sentences about it, which are also printed.

    kept_out: photos that were removed from the build for good.

    A complete list of a public service is kept while `listing_key` is the same, so that a build can be continued;
    `again` lists it anew. `moved` is for `list_source`.
    """
    is_service = source.service_query is not None
    listing_key = f"{listing_key}{source.service_query}\n"
    if is_service and not again and storage.read_text(LISTED_FILE) == listing_key:
        return []
    storage.remove_file(LISTED_FILE)  # until the list is complete again
    spellings = Spellings()
    rows: Iterable[pa.Table] = map(spellings.unified, source.rows())
    if kept_out is not None:
        rows = map(kept_out.without, rows)
    list_source(rows, rows_per_part, storage, console, moved, watch)
    notes = [*source.notes, *([spellings.note] if spellings.note else [])]
    for note in notes:
        console.print(f"{'':<11} {shown(note)}", highlight=False)
    if is_service:
        storage.write_text(LISTED_FILE, listing_key)
    return notes


def list_source(
    batches: Iterable[pa.Table],
    rows_per_part: int,
    storage: Storage,
    console: Console,
    moved: MovedPhotos | None = None,
    watch: BuildWatch | None = None,
) -> None:
    """Write the parts of the table `sources` that have changed; one part is in memory at a time.

    `moved` keeps what was made of photos of which only the path has changed.
    """
    names = set()
    catalogue = Catalogue.of(storage, "sources")
    with StageProgress(console, "list", 1, 0, watch=watch) as progress:
        for name, rows in split_into_parts(batches, rows_per_part):
            names.add(name)
            fingerprint = rows_digest(rows)
            before = catalogue.entries.get(name)
            if before is None or before.part.fingerprint != fingerprint:
                with (
                    nullcontext() if before is None or moved is None else moved.followed(name),
                    storage.writing("sources", name, fingerprint) as part,
                ):
                    part.add(rows)
            progress.rows_listed(len(rows), count_rejected(rows))
        for stale in storage.started_parts("sources") - names:
            storage.remove_part("sources", stale)
        if moved is not None:
            moved.finish()
        progress.part_done(0, 0)
