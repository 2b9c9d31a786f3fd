"""`overrides.csv` in the build's folder: a person's decisions, which come before those of the stages."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.build.known_names import as_known
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.storage.fingerprint import rows_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import OVERRIDES

FILE = "overrides.csv"
HEADER = ("decision", "what", "other", "comment")
MAX_BYTES = 64 << 20
_PART = "part-00000"
_FACE = r"^[0-9a-f]{16}-[0-9]+$"
_PHOTO = r"^[0-9a-f]{64}$"
_FORMS = {
    "keep": "keep,FACE,, or keep,PHOTO,, or keep,FACE,FACE,",
    "drop": "drop,FACE,, or drop,PHOTO,, or drop,NAME,,",
    "same": "same,FACE or NAME,FACE or NAME,",
    "different": "different,FACE or NAME,FACE or NAME,",
    "copy": "copy,FACE,FACE, or copy,PHOTO,PHOTO,",
}
"""The forms of a line, for each decision."""


@dataclass(frozen=True)
class Override:
    """One line of the file."""

    line: int
    decision: str
    what: str
    other: str | None
    comment: str = field(default="", compare=False)


def update(storage: Storage, lines: Sequence[Override]) -> None:
    """Write the table `overrides` if the lines have changed; a name in it is spelled as in `sources`."""
    rows = [dict.fromkeys(OVERRIDES.names) | asdict(line) for line in _as_known(storage, lines)]
    table = pa.Table.from_pylist(rows, OVERRIDES)
    fingerprint = rows_digest(table)
    before = storage.part("overrides", _PART)
    if before is None or before.fingerprint != fingerprint:
        with storage.writing("overrides", _PART, fingerprint) as part:
            part.add(table)


def _as_known(storage: Storage, lines: Sequence[Override]) -> list[Override]:
    texts = {text for line in lines for text in (line.what, line.other) if text is not None}
    known = as_known(storage, {text for text in texts if not (is_face(text) or re.search(_PHOTO, text))})
    return [
        replace(
            line,
            what=known.get(line.what, line.what),
            other=None if line.other is None else known.get(line.other, line.other),
        )
        for line in lines
    ]


def read(storage: Storage) -> list[Override]:
    """The lines of the file; none if there is no file. Raises UserError for one that cannot be understood."""
    return list(_lines(storage))


def _lines(storage: Storage) -> Iterator[Override]:
    data = _bytes(storage)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{FILE}, line {number} is not UTF-8 ({error.reason}): save the file as UTF-8"
        ) from None
    seen_header = False
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        fields = [] if line.startswith("#") else _fields(line, number)
        if not fields or fields[0].startswith("#"):
            continue
        if seen_header:
            yield _override(fields, number)
        elif tuple(fields) == HEADER:
            seen_header = True
        else:
            fix = f"make the first line {','.join(HEADER)}, with commas there and in all others"
            raise _mistake(number, f"begins with {_short(line)}", fix)


def relevant_to(table: str) -> pc.Expression:
    """The rows for the stage that writes `table`. It does not see other lines, so a change of them never redoes it."""
    decision, of_face = pc.field("decision"), pc.match_substring_regex(pc.field("what"), _FACE)
    alone = pc.field("other").is_null()
    rows = {
        "duplicates": decision.isin(["keep", "drop", "copy"]) & ~of_face,
        "copies": decision.isin(["keep", "copy"]) & of_face & ~alone,
        "identities": decision.isin(["same", "different", "drop"]) | ((decision == "keep") & alone),
        "splits": pc.scalar(False),
        "given": decision.isin(["drop"]),
        "pairs": decision.isin(["keep", "copy"]) & of_face & ~alone,
    }
    return rows[table]


def lines_cited(why: pa.ChunkedArray) -> Counter[int]:
    """The lines of the file that these sentences cite as their reason, and how many sentences cite each."""
    named = why.filter(pc.fill_null(pc.match_substring(why, FILE), False))
    pattern = re.compile(rf"{re.escape(FILE)}, line (\d+)")
    return Counter(int(number) for text in named.to_pylist() for number in pattern.findall(text)[:1])


def is_valid_line(text: str) -> bool:
    """True if the file may hold this line below its header."""
    try:
        _override(_fields(text, 1), 1)
    except UserError:
        return False
    return True


def is_face(text: str) -> bool:
    """True if the text has the form of a face's id."""
    return re.search(_FACE, text) is not None


def _bytes(storage: Storage) -> bytes:
    try:
        data = storage.read_small(FILE, MAX_BYTES)
    except OSError as error:
        raise UserError(f"{FILE} cannot be read ({error}): mend that, or take it away") from None
    if data is None:
        return b""
    if len(data) > MAX_BYTES:
        raise UserError(
            f"{FILE} has more than {MAX_BYTES >> 20} MiB: a name is dropped by one line, drop,NAME,,"
        )
    return data


def _fields(line: str, number: int) -> list[str]:
    """The fields of a line, without the empty ones that spreadsheets add at its end; none for a blank line."""
    try:
        (fields,) = csv.reader([line], strict=True)
    except csv.Error as error:
        raise _mistake(number, f"cannot be split into fields ({error})", "mend its quotation marks") from None
    while len(fields) > len(HEADER) and not fields[-1]:
        fields.pop()
    return fields if any(field.strip() for field in fields) else []


def _override(fields: list[str], number: int) -> Override:
    if len(fields) > len(HEADER):
        extra = f"has {len(fields)} fields, the last of them {_short(fields[-1])}"
        raise _mistake(number, extra, f"write {len(HEADER)}, and put quotation marks around one with a comma")
    decision, what, other, comment = (*fields, *[""] * (len(HEADER) - len(fields)))
    if decision not in _FORMS:
        raise _mistake(number, f"decides {_short(decision)}", f"choose {', '.join(_FORMS)}")
    if not _is_possible(decision, what, other):
        raise _mistake(number, f"is {_short(','.join(fields[:3]))}", f"write {_FORMS[decision]}")
    return Override(number, decision, what, other or None, comment)


def _is_possible(decision: str, what: str, other: str) -> bool:
    """True if a decision can be about these two. Keys of photos and names cannot be told apart without the build."""
    if not what or what == other:
        return False
    faces = is_face(what), is_face(other)
    match decision:
        case "keep":
            return not other or all(faces)
        case "drop":
            return not other
        case "copy":
            return bool(other) and faces[0] == faces[1]
        case _:
            return bool(other) and not any(re.search(_PHOTO, text) for text in (what, other))


def _mistake(number: int, what: str, fix: str) -> UserError:
    return UserError(f"{FILE}, line {number} {what}: {fix}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
