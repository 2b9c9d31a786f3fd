"""The view of photos: one row per photo of the source, with its origin and licence, and why it was left out."""

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.dataset.came_back import duplicates_after_analysis
from facerefs.pipeline.explore.views.view import (
    Card,
    Choice,
    Column,
    Picture,
    Row,
    View,
    counted,
    first_reason,
    reason_badges,
    with_choices,
)
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import figure, size
from facerefs.stages.join import left_join

_COLUMNS = (
    Column("key", "Photo", "text"),
    Column("url", "URL", "text"),
    Column("attribution", "Author", "text"),
    Column("label", "Label", "name", "the name that the source gave"),
    Column("reason", "Reason", "choice", "why it was left out"),
    Column("stage", "Stage", "choice", "that left it out"),
    Column("licence", "Licence", "choice"),
    Column("host", "Host", "choice"),
    Column("format", "Format", "choice"),
    Column("copies", "Copy", "choice", "kept, or a copy of another photo"),
    Column("robots", "robots.txt", "choice"),
    Column("width", "Width", "number", "px", 0),
    Column("height", "Height", "number", "px", 0),
    Column("bytes", "Bytes", "number", "of the file", 0),
    Column("detail_scale", "Real detail", "number", "share of its side that holds all its detail"),
    Column("distance", "Distance", "number", "bits, of a copy to the photo that is kept", 0),
    Column("faces", "Faces", "number", "found in it", 0),
)
_HOST = r"^[a-z]+://([^/?#]*@)?([^/?#:]+).*$"
_IMAGE = ("key", "id", "format", "bytes", "width", "height", "detail_scale")


def photo_rows(storage: Storage) -> pa.Table:
    """One row per photo, in the order of the source."""
    listed = ("key", "url", "licence", "attribution", "label", "reject", "reject_detail")
    rows = storage.scan("sources", listed)
    rows = rows.rename_columns([*listed[:5], "list_reject", "list_why"])
    fetched = storage.scan("downloads", ("key", "robots", "reject", "reject_detail"))
    fetched = fetched.rename_columns(["key", "robots", "fetch_reject", "fetch_why"])
    images = storage.scan("images", (*_IMAGE, "reject", "reject_detail", "part"))
    images = images.rename_columns([*_IMAGE, "crawl_reject", "crawl_why", "part"])
    copies = ("key", "kind", "kept_key", "distance", "why", "reject")
    duplicates = duplicates_after_analysis(storage, copies)
    duplicates = duplicates.rename_columns(
        ["key", "copies", "kept_key", "distance", "why_copy", "dedupe_reject"]
    )
    faces = counted(storage.scan("faces", ("key",))["key"], "key").rename_columns(["key", "faces"])
    for other in (fetched, images, duplicates, faces):
        rows = left_join(rows, "key", other, "key")
    reasons = first_reason(
        ("list", rows["list_reject"], rows["list_why"]),
        ("fetch", rows["fetch_reject"], rows["fetch_why"]),
        ("crawl", rows["crawl_reject"], rows["crawl_why"]),
        ("dedupe", rows["dedupe_reject"], rows["why_copy"]),
    )
    rows = rows.set_column(rows.column_names.index("faces"), "faces", pc.fill_null(rows["faces"], 0))
    isurl = pc.match_substring_regex(rows["url"], _HOST)
    host = pc.if_else(isurl, pc.replace_substring_regex(rows["url"], _HOST, r"\2"), None)
    kept = [name for name in rows.column_names if not name.endswith(("_reject", "_why", "why_copy"))]
    rows = rows.select(kept).append_column("host", host)
    for name, values in reasons.items():
        rows = rows.append_column(name, values)
    return rows


def _rows(storage: Storage) -> pa.Table:
    return with_choices(photo_rows(storage), _COLUMNS)


def _card(row: Row) -> Card:
    badges = reason_badges(row)
    if row["licence"]:
        badges = (*badges, ("licence", row["licence"]))
    what = row["id"] or row["key"]
    # What was not listed, fetched or decoded, no line brings back.
    keep = () if row["stage"] in ("list", "fetch", "crawl") else (Choice("Keep", "k", "keep", what),)
    side = f"{row['width']} x {row['height']}" if row["width"] else "–"
    pictures = [
        Picture("photo", row["key"], "dropped" if row["kept_key"] != row["key"] and row["kept_key"] else "")
    ]
    if row["kept_key"] and row["kept_key"] != row["key"]:
        pictures.append(Picture("photo", row["kept_key"], "kept instead"))
    return Card(
        title=row["label"] or "no label",
        opens=row["key"],
        pictures=tuple(pictures),
        badges=badges,
        figures=(
            ("size, px", side),
            ("file", size(row["bytes"]) if row["bytes"] is not None else "–"),
            ("faces", str(row["faces"])),
            *((("distance, bits", figure(row["distance"], 0)),) if row["distance"] else ()),
        ),
        detail=row["why"] or row["key"],
        subject=what,
        choices=(*keep, Choice("Drop", "d", "drop", what)),
    )


PHOTOS = View(
    "photos",
    "Photos",
    "photo",
    "photos",
    "Every photo that the source lists. A copy is shown beside the photo that was kept.",
    _COLUMNS,
    _rows,
    _card,
)
