"""`samples/photos.csv`: page, URL, author and licence of each photo in the shards."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import write_csv

from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import plain_cell, web_link
from facerefs.stages.join import left_join

CREDITS_FILE = "photos.csv"


def write_credits(storage: Storage, photos: pa.Table) -> None:
    """Write the photos as CSV that is safe to open in a spreadsheet."""
    text = io.BytesIO()
    write_csv(_harmless(photos), text)
    storage.write_bytes(f"samples/{CREDITS_FILE}", text.getvalue())


def credited_photos(storage: Storage, samples: list[dict[str, Any]]) -> pa.Table:
    """The photos that are targets or references in the shards, with page, URL, author and licence; sorted by key."""
    used = {row["target"] for row in samples} | {face for row in samples for face in row["references"]}
    faces = storage.scan("faces", ("id", "key"))
    keys = faces.filter(pc.is_in(faces.column("id"), value_set=pa.array(sorted(used), pa.string()))).column(
        "key"
    )
    photos = storage.scan("images", ("key", "id"))
    photos = photos.filter(pc.is_in(photos.column("key"), value_set=keys.combine_chunks()))
    listed = storage.scan("sources", ("key", "label", "page", "url", "attribution", "licence"))
    photos = left_join(photos, "key", listed, "key").select(
        ["key", "id", "label", "page", "url", "attribution", "licence"]
    )
    return photos.sort_by("key").rename_columns(
        ["key", "sha256", "label", "page", "url", "author", "licence"]
    )


def _harmless(photos: pa.Table) -> pa.Table:
    """The table with untrusted texts made safe for a spreadsheet: on one line, no formulas, only http(s) links."""
    for name in ("key", "label", "author", "licence"):
        texts = photos.column(name).to_pylist()
        photos = _replaced(photos, name, [None if text is None else plain_cell(text) for text in texts])
    for name in ("page", "url"):
        photos = _replaced(photos, name, [web_link(text) for text in photos.column(name).to_pylist()])
    return photos


def _replaced(table: pa.Table, name: str, values: list[str | None]) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))
