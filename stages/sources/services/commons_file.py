"""Makes a row of `SOURCES` from a file of Wikimedia Commons, as its API describes it.

https://www.mediawiki.org/wiki/API:Imageinfo and https://www.mediawiki.org/wiki/Extension:CommonsMetadata
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from facerefs.schemas.reject import Reject
from facerefs.stages.sources.services.plain_text import plain_text

PHOTO_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/tiff", "image/gif"})
IMAGE_PROPERTIES = "url|size|mime|sha1|timestamp|user|extmetadata"
METADATA = {  # of extmetadata -> in the provenance
    "LicenseShortName": "licence_name",
    "LicenseUrl": "licence_url",
    "Artist": "artist",
    "Attribution": "attribution",
    "AttributionRequired": "attribution_required",
    "Credit": "credit",
    "Copyrighted": "copyrighted",
    "Restrictions": "restrictions",
    "DateTimeOriginal": "taken",
    "ImageDescription": "description",
}
_FACTS = ("sha1", "mime", "size", "width", "height", "timestamp", "user", "thumbwidth", "thumbheight")
_MAX_TEXT = 500


def is_photo(page: Mapping[str, Any]) -> bool:
    """Whether the file is a photo, or may have been one before it was lost; no drawing, document, film or sound."""
    mime = _info(page).get("mime")
    return mime is None or mime in PHOTO_TYPES


def row_of_file(
    page: Mapping[str, Any],
    label: str,
    listed_by: Mapping[str, str],
    thumbnail: bool,
    licences: Sequence[str] | None,
) -> dict[str, Any]:
    """The row of a page with `imageinfo`; rejected if its file is gone, or its licence is not one of `licences`.

    `listed_by` goes into the provenance. `thumbnail`: take the URL of the thumbnail, not of the file.
    """
    info = _info(page)
    metadata = _metadata(info)
    page_url = _text(info.get("descriptionurl"))
    url = _without_tracking(_text(info.get("thumburl" if thumbnail else "url")))
    licence = " ".join(part for part in (metadata.get("licence_name"), metadata.get("licence_url")) if part)
    facts = {name: info[name] for name in _FACTS if isinstance(info.get(name), str | int)}
    title = str(page.get("title"))
    provenance = {"title": title, "pageid": page.get("pageid"), **listed_by, **facts, **metadata}
    row = {
        "key": f"{label}/{url or page_url or title}",
        "url": url,
        "page": page_url,
        "licence": licence or None,
        "attribution": metadata.get("attribution") or metadata.get("artist") or metadata.get("credit"),
        "label": label,
        "provenance": json.dumps(provenance, ensure_ascii=False, sort_keys=True),
    }
    return row | _rejected(page, info, url, metadata.get("licence_name"), licences)


def is_licence_wanted(name: str | None, licences: Sequence[str] | None) -> bool:
    """Whether a licence is one of `licences` or a version of it: `CC BY` is CC BY 4.0, but not CC BY-SA 4.0.

    A name that ends in * stands for all licences that begin with it.
    """
    if licences is None:
        return True
    given = f"{name or ''} ".casefold()
    return name is not None and any(
        given.startswith(wanted[:-1] if wanted.endswith("*") else f"{wanted} ")
        for wanted in (licence.casefold() for licence in licences)
    )


def _rejected(
    page: Mapping[str, Any],
    info: Mapping[str, Any],
    url: str | None,
    licence: str | None,
    licences: Sequence[str] | None,
) -> dict[str, Any]:
    if page.get("missing") or info.get("filemissing") or not info:
        return {"reject": Reject.BAD_ROW, "reject_detail": "the file is no longer on Commons"}
    if info.get("filehidden") or info.get("suppressed"):
        return {"reject": Reject.BAD_ROW, "reject_detail": "the file is hidden on Commons"}
    if url is None:
        why = _text(info.get("thumberror")) or "Commons gives no address for it"
        return {"reject": Reject.BAD_ROW, "reject_detail": plain_text(why, _MAX_TEXT)}
    if not is_licence_wanted(licence, licences):
        return {"reject": Reject.BAD_LICENCE, "reject_detail": licence or "Commons names none"}
    return {}


def _info(page: Mapping[str, Any]) -> Mapping[str, Any]:
    versions = page.get("imageinfo")
    newest = versions[0] if isinstance(versions, list) and versions else None
    return newest if isinstance(newest, dict) else {}


def _metadata(info: Mapping[str, Any]) -> dict[str, str]:
    """The known fields of extmetadata that are not empty, as text; the API gives their values as HTML."""
    fields = info.get("extmetadata")
    metadata = {}
    for name, ours in METADATA.items():
        field = fields.get(name) if isinstance(fields, dict) else None
        value = field.get("value") if isinstance(field, dict) else None
        text = plain_text(str(value), _MAX_TEXT) if isinstance(value, str | int | float) else ""
        if text:
            metadata[ours] = text
    return metadata


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _without_tracking(url: str | None) -> str | None:
    """The URL without the utm_ parameters that the API appends; the file is the same."""
    if url is None:
        return None
    address, _, query = url.partition("?")
    kept = "&".join(part for part in query.split("&") if part and not part.startswith("utm_"))
    return f"{address}?{kept}" if kept else address
