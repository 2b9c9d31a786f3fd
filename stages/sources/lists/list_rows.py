"""Makes rows of `SOURCES` from the annotations of photos in a list, and tables from such rows."""

import json
import math
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.lists.columns import NONE
from facerefs.stages.sources.lists.key_set import KeySet

Row: TypeAlias = dict[str, Any]

MAX_PROVENANCE_BYTES = 64 << 10
_MAX_BYTES = {"url": 8 << 10, "page": 8 << 10, "licence": 8 << 10, "attribution": 8 << 10, "label": 1 << 10}
_COLUMN = {
    "url": "url",
    "page": "page",
    "licence": "licence",
    "attribution": "attribution",
    "label": "identity",
}
_ROWS_PER_TABLE = 10_000
_CHARACTERS_PER_TABLE = 8 << 20  # so that rows of full length make smaller tables
_SECRET = re.compile(
    r"^(\s*[a-z][a-z0-9+.-]*://)[^/?#]*@", re.IGNORECASE
)  # in a URL: not to be shown to anybody
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_WHOLE = re.compile(r"(-?[0-9]+)\.0+")  # as pandas writes the numbers of a column with gaps
_NO_VALUE = frozenset(
    {"nan", "NaN", "NAN", "-nan", "None", "null", "NULL", "<NA>", "NA", "N/A", "n/a", "#N/A"}
)
_BETWEEN_NUMBERS = re.compile(r"[\s,;|]+")
_CORNERS = (("left", "top", "right", "bottom"), ("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"))
_SIZES = (("left", "top", "width", "height"), ("x", "y", "width", "height"), ("x", "y", "w", "h"))


class BadRowError(ValueError):
    """Why a row of a list is not valid, in one sentence."""


def source_columns(annotations: Mapping[str, Any], roles: Mapping[str, str]) -> Row:
    """The columns of `SOURCES` for the annotations of a photo; `roles` gives the column of each role.

    All columns without a role become `provenance`; an empty value counts as missing, and so does what programs write
    for one (`nan`, `None`); the label `7.0` is the number 7. Raises BadRowError.
    """
    row: Row = {}
    for column, role in _COLUMN.items():
        text = _text(annotations.get(roles[role]), roles[role], _MAX_BYTES[column]) if role in roles else None
        row[column] = text if text is None else _SECRET.sub(r"\1***@", text)
    whole = _WHOLE.fullmatch(row["label"] or "")
    row["label"] = row["label"] if whole is None else whole[1]
    row["sha256"] = _sha256(annotations.get(roles["sha256"])) if "sha256" in roles else None
    row["box"] = _box(annotations.get(roles["bbox"])) if "bbox" in roles else None
    taken = set(roles.values())
    row["provenance"] = _provenance({name: value for name, value in annotations.items() if name not in taken})
    return row


def list_row(place: str, raw: Mapping[str, Any] | str, roles: Mapping[str, str]) -> Row:
    """A row for the photo at a URL. `place` names the row in the list; `raw` may be a sentence about an error in it.

    The key is `LABEL/URL`, and with a box also a media fragment: `#xywh=LEFT,TOP,WIDTH,HEIGHT`
    (W3C Media Fragments URI 1.0, section 4.2.2).
    """
    if isinstance(raw, str):
        return bad_row(place, raw)
    try:
        row = source_columns(raw, roles)
        if row["url"] is None:
            raise BadRowError("there is no URL in it")
    except BadRowError as error:
        return bad_row(place, str(error))
    label = "" if row["label"] is None else f"{row['label']}/"
    return {"key": f"{label}{row['url']}{_fragment(row['box'])}", **row}


def bad_row(key: str, detail: str) -> Row:
    """A row that is rejected because it is not valid."""
    return {"key": key, "reject": Reject.BAD_ROW.value, "reject_detail": detail}


def tables(
    rows: Iterable[tuple[str, Row]], schema: pa.Schema = SOURCES, duplicate: Reject | None = None
) -> Iterator[pa.Table]:
    """Tables of rows; each row comes with its place in the source, which is added to a key that came before.

    With `duplicate`, rows whose key came before are rejected with this reason.
    """
    keys = KeySet()
    for places, batch in _batches(rows):
        for i in _make_unique(places, batch, keys):
            if duplicate is not None and batch[i].get("reject") is None:
                batch[i] |= {"reject": duplicate.value, "reject_detail": f"it is {places[i]}"}
        columns = [pa.array([row.get(item.name) for row in batch], item.type) for item in schema]
        places.clear()  # or the rows would stay until the next ones are there
        batch.clear()
        yield pa.table(columns, schema)


def _batches(rows: Iterable[tuple[str, Row]]) -> Iterator[tuple[list[str], list[Row]]]:
    places: list[str] = []
    batch: list[Row] = []
    characters = 0
    for place, row in rows:
        places.append(place)
        batch.append(row)
        characters += len(row["key"]) + len(row.get("provenance") or "") + len(row.get("photo") or "")
        if len(batch) == _ROWS_PER_TABLE or characters >= _CHARACTERS_PER_TABLE:
            yield places, batch
            places, batch, characters = [], [], 0
    if batch:
        yield places, batch


def _make_unique(places: Sequence[str], batch: Sequence[Row], keys: KeySet) -> list[int]:
    """Add its place to each key that came before; returns the indices of those rows."""
    changed: list[int] = []
    waiting = list(range(len(batch)))
    while waiting:
        before = keys.add([batch[i]["key"] for i in waiting])
        waiting = [i for i, came in zip(waiting, before, strict=True) if came]
        for i in waiting:
            batch[i]["key"] += f" ({places[i]})"
        changed = changed or waiting
    return changed


def _text(value: Any, name: str, max_bytes: int) -> str | None:
    if value is None or isinstance(value, str):
        text = (value or "").strip()
    elif isinstance(value, (float, Decimal)):
        text = (
            ""
            if math.isnan(value)
            else str(int(value) if math.isfinite(value) and int(value) == value else value)
        )
    elif isinstance(value, int):
        text = str(value)
    else:
        raise BadRowError(f"its {name} is no text, but a {type(value).__name__}")
    if not text or text in _NO_VALUE:
        return None
    try:
        length = len(text.encode())
    except UnicodeEncodeError as error:
        raise BadRowError(f"its {name} is no valid Unicode text") from error
    if length > max_bytes:
        raise BadRowError(f"its {name} has {length} bytes, at most {max_bytes}")
    return text


def _sha256(value: Any) -> str | None:
    text = _text(value, "sha256", 1 << 10)
    if text is not None and not _SHA256.fullmatch(text):
        raise BadRowError(f"its sha256 is {text[:80]!r}, not 64 hexadecimal digits")
    return None if text is None else text.lower()


def _box(value: Any) -> list[float] | None:
    """[left, top, right, bottom] from a text, a list, or a mapping with two corners or with a corner and a size."""
    if value is None or str(value).strip() in ("", *_NO_VALUE):
        return None
    try:
        left, top, right, bottom = _four(value)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise BadRowError(
            f"its box is {str(value)[:80]!r}, not left, top, right, bottom (columns.bbox={NONE} ignores boxes)"
        ) from error
    stored = array("f", (left, top, right, bottom))
    if not all(map(math.isfinite, stored)) or stored[2] <= stored[0] or stored[3] <= stored[1]:
        raise BadRowError(f"its box is {str(value)[:80]!r}, which is empty or not finite")
    return [left, top, right, bottom]


def _four(value: Any) -> tuple[float, ...]:
    if isinstance(value, str):
        value = _BETWEEN_NUMBERS.split(value.strip().strip("[](){}").strip())
    if isinstance(value, Mapping):
        for corners in _CORNERS:
            if value.keys() >= set(corners):
                return tuple(float(value[name]) for name in corners)
        names = next(sizes for sizes in (*_SIZES, ("",)) if value.keys() >= set(sizes) or sizes == ("",))
        left, top, width, height = (float(value[name]) for name in names)
        return left, top, left + width, top + height
    return tuple(map(float, value))


def _fragment(box: Sequence[float] | None) -> str:
    if box is None:
        return ""
    left, top, right, bottom = box
    return "#xywh=" + ",".join(f"{number:.10g}" for number in (left, top, right - left, bottom - top))


def _provenance(annotations: Mapping[str, Any]) -> str | None:
    kept = {name: _plain(value) for name, value in annotations.items()}
    kept = {name: value for name, value in kept.items() if value is not None and value != ""}
    if not kept:
        return None
    try:
        text = json.dumps(kept, ensure_ascii=False, sort_keys=True)
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise BadRowError("one of its columns is no valid Unicode text") from error
    except RecursionError as error:
        raise BadRowError("one of its columns is nested too deeply") from error
    if size > MAX_PROVENANCE_BYTES:
        raise BadRowError(f"its further columns take {size} bytes, at most {MAX_PROVENANCE_BYTES}")
    return text


def _plain(value: Any) -> Any:
    """A value as JSON has it: numbers that JSON lacks become null, dates and the like become text."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    try:
        if isinstance(value, Mapping):
            return {str(name): _plain(item) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [_plain(item) for item in value]
    except RecursionError as error:
        raise BadRowError("one of its columns is nested too deeply") from error
    return str(value)
