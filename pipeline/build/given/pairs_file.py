"""Reads published lists of pairs, and finds the degraded images that they name."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facerefs.pipeline.build.given.lists import column, opened, text
from facerefs.pipeline.build.given.references import reference_names
from facerefs.pipeline.config.given import Given
from facerefs.pipeline.errors import UserError
from facerefs.schemas.paths import text_of_path
from facerefs.schemas.reject import Reject
from facerefs.schemas.sample import MAX_IMAGE_BYTES

Row = dict[str, Any]


def pair_rows(given: Given) -> Iterator[Row]:
    """Rows with the columns of GIVEN_PAIRS, `row` apart, and with `split` if a column says it.

    Raises UserError for a file that cannot be read or has no columns of targets and references.
    """
    for path in given.pairs:
        folder = given.degraded_folder or os.path.dirname(path)  # noqa: PTH120 (it may be an address)
        with opened(path) as (names, rows):
            known = None if names is None else _columns(names, given, path)
            for line, row in rows:
                common = {"file": Path(path).name, "line": line}
                if isinstance(row, str):
                    yield common | _rejected(Reject.BAD_PUBLISHED_ROW, row)
                    continue
                if names is None and line == 1:
                    _columns(list(row), given, path)  # the first row says whether it is such a list at all
                yield common | _row(row, known or _found(list(row), given, path, True), folder)


def _found(names: list[str], given: Given, path: str, may_lack: bool) -> dict[str, str | None]:
    asked = vars(given.columns)
    roles = ("target", "references", "degraded", "split")
    return {role: column(role, names, asked[role], path, may_lack) for role in roles}


def _columns(names: list[str], given: Given, path: str) -> dict[str, str | None]:
    found = _found(names, given, path, False)
    for role in ("target", "references"):
        if found[role] is None:
            raise UserError(
                f"{path} has no column that is known to hold the {role}, only {', '.join(map(repr, names[:20]))}: "
                f"name it with --set given.columns.{role}=NAME"
            )
    return found


def _row(row: Row, columns: dict[str, str | None], folder: str) -> Row:
    target = text(row, columns["target"])
    said: Row = {"target": target, "split": text(row, columns["split"])}
    if target is None:
        return said | _rejected(Reject.BAD_PUBLISHED_ROW, "it names no target")
    if columns["references"] is None:
        return said | _rejected(Reject.BAD_PUBLISHED_ROW, "it has no column of references")
    try:
        said["references"] = reference_names(row[columns["references"]])
    except ValueError as error:
        return said | _rejected(Reject.BAD_PUBLISHED_ROW, str(error))
    degraded = text(row, columns["degraded"])
    return said if degraded is None else said | _degraded(degraded, folder)


def _degraded(name: str, folder: str) -> Row:
    """The place of a degraded image and its SHA-256, or why it cannot be used."""
    said = {"degraded_file": name}
    inner = os.path.normpath(name)
    if os.path.isabs(inner) or Path(inner).parts[:1] == ("..",):  # noqa: PTH117
        return said | _rejected(Reject.BAD_DEGRADED, f"{name!r} leads out of its folder")
    path = Path(os.path.abspath(folder), inner)  # noqa: PTH100 (`..` is taken away, links stay)
    try:
        if not path.resolve().is_relative_to(Path(folder).resolve()):
            return said | _rejected(Reject.BAD_DEGRADED, f"{name!r} leads out of its folder")
        with path.open("rb") as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        return said | _rejected(
            Reject.BAD_DEGRADED, f"{name!r} cannot be read in {folder} ({error.strerror})"
        )
    if len(data) > MAX_IMAGE_BYTES:
        return said | _rejected(Reject.BAD_DEGRADED, f"{name!r} has more than {MAX_IMAGE_BYTES} bytes")
    place = {"path": text_of_path(str(path)), "offset": 0, "length": len(data)}
    return said | {"degraded": place, "degraded_sha256": hashlib.sha256(data).hexdigest()}


def _rejected(reject: Reject, detail: str) -> Row:
    return {"reject": str(reject), "reject_detail": detail}
