"""Finds the columns of a list: which one holds the URL, the identity, the box and so on."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

from facerefs.stages.sources.source import SourceError

_MOST_COMPARED = 1000
_MAX_COLUMNS = 1000
_PEEKED_ROWS = 100

NONE = "none"
"""Instead of a column's name: the list has no such column."""

_WELL_KNOWN = {
    "url": (
        *(
            "url",
            "image_url",
            "img_url",
            "photo_url",
            "picture_url",
            "original_url",
            "content_url",
            "file_url",
        ),
        *("image_link", "image_src", "img_src", "link", "src", "uri", "image_uri"),
    ),
    "path": (
        *("path", "file", "file_path", "file_name", "local_path", "local_file"),
        *("image_path", "img_path", "photo_path", "picture_path", "image_file", "img_file", "photo_file"),
        *("image_name", "img_name", "photo_name", "image", "img", "photo", "picture"),
    ),
    "identity": (
        *(
            "identity",
            "identity_name",
            "name",
            "label",
            "person",
            "person_name",
            "celebrity",
            "celebrity_name",
        ),
        *("subject", "subject_name", "full_name"),
    ),
    "bbox": ("bbox", "box", "face_box", "face_bbox", "bounding_box"),
    "sha256": ("sha256", "sha_256", "sha256sum", "image_sha256"),
    "licence": ("licence", "license"),
    "page": (
        *("page", "page_url", "source_page", "web_page", "landing_url", "landing_page", "description_url"),
        *("foreign_landing_url", "original_landing_url"),
    ),
    "attribution": ("attribution", "author", "creator", "credit", "artist", "photographer"),
    "photo": (
        *("image", "img", "photo", "picture", "jpg", "jpeg", "png", "webp", "bytes", "data", "content"),
        *("image_bytes", "img_bytes", "photo_bytes", "jpg_bytes", "image_data", "image_content"),
    ),
}
"""Usual names of the column of each role; upper case, `_`, `-` and blanks make no difference.

`path` is no role of its own: such a column stands for the URL where a list has none.
"""


@dataclass(frozen=True)
class ColumnNames:
    """The names of a list's columns; null finds one by its usual names, `none` says that the list has none."""

    url: str | None = None
    """Column that holds the URL of the photo, or its path."""
    identity: str | None = None
    """Column that says who the photo shows; in a tar also the ending of the file that says it, `txt` or `cls`."""
    bbox: str | None = None
    """Column that holds the box of that person's face: left, top, right, bottom in pixels of the photo."""
    sha256: str | None = None
    """Column that holds the SHA-256 of the photo's bytes; a photo with other bytes is rejected."""
    licence: str | None = None
    """Column that holds the licence of the photo."""
    page: str | None = None
    """Column that holds the address of the page that shows the photo."""
    attribution: str | None = None
    """Column that says whom to name as the author of the photo."""
    photo: str | None = None
    """Column of a Parquet file that holds the bytes of the photo itself."""


ROLES = tuple(item.name for item in fields(ColumnNames))
PATH = "path"
"""In `usual` of `find_columns`: paths may stand for URLs."""


def find_columns(
    names: Sequence[str],
    columns: ColumnNames,
    shown: str,
    roles: Sequence[str],
    usual: Sequence[str] | None = None,
) -> dict[str, str]:
    """The name of the column of each role that the list has, by role.

    `shown`: the list's name for messages. Roles that are not in `usual` (None: all are) are found only if `columns`
    names them. Raises SourceError for a named column that does not exist, and if two columns fit a role.
    """
    found = {role: _find(role, names, columns, shown, usual is None or role in usual) for role in roles}
    if usual is not None and PATH in usual and columns.url is None and found["url"] is None:
        found["url"] = _only("url", usual_names(PATH, names), columns, shown)
    return {role: name for role, name in found.items() if name is not None}


def check_names(names: Sequence[str], shown: str) -> None:
    """Raise SourceError for two columns of the same name, and for more than 1000 columns."""
    if len(names) > _MAX_COLUMNS:
        raise SourceError(f"{shown} has {len(names)} columns, at most {_MAX_COLUMNS}: is it a list of URLs?")
    for name in names:
        if names.count(name) > 1:
            raise SourceError(f"{shown} has two columns {quoted_names([name])}: give one another name")


def find_row_columns(
    columns: ColumnNames, shown: str, roles: Sequence[str], usual: Sequence[str] | None = None
) -> Callable[[tuple[str, ...]], dict[str, str]]:
    """A function that finds the columns of one row, as `find_columns`, where each row has names of its own.

    A row may lack a column that `columns` names.
    """

    @lru_cache(maxsize=64)
    def roles_of(names: tuple[str, ...]) -> dict[str, str]:
        named = {role: name if name in (*names, None) else NONE for role, name in vars(columns).items()}
        return find_columns(names, ColumnNames(**named), shown, roles, usual)

    return roles_of


def check_row_columns(
    rows: Iterable[tuple[str, ...]],
    columns: ColumnNames,
    shown: str,
    roles: Sequence[str],
    usual: Sequence[str] | None = None,
) -> None:
    """Read the names of rows until each column that `columns` names has occurred, and of at least a hundred rows.

    Raises SourceError if a named column never does, and if two columns of one of the first rows fit a role.
    """
    roles_of = find_row_columns(columns, shown, roles, usual)
    wanted = {role: name for role in roles if (name := getattr(columns, role)) not in (None, NONE)}
    seen: dict[str, None] = {}
    for i, names in enumerate(rows):
        if i < _PEEKED_ROWS:
            roles_of(names)
        elif not wanted:
            return
        wanted = {role: name for role, name in wanted.items() if name not in names}
        if len(seen) < _MOST_COMPARED:
            seen |= dict.fromkeys(names)
    find_columns(list(seen), columns, shown, list(wanted))


def usual_names(role: str, names: Sequence[str]) -> list[str]:
    """Those of the names that a column of this role usually has."""
    known = {_plain(name) for name in _WELL_KNOWN[role]}
    return [name for name in names if _plain(name) in known]


def quoted_names(names: Sequence[str]) -> str:
    """Names of columns for a message, of many only the first 20."""
    valid = (name[:40].encode(errors="backslashreplace").decode() for name in names[:20])
    shown = ", ".join(f"`{name}`" for name in valid)
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "none"


def _find(role: str, names: Sequence[str], columns: ColumnNames, shown: str, usual: bool) -> str | None:
    named = getattr(columns, role)
    if named == NONE:
        return None
    if named is not None:
        if named not in names:
            close = difflib.get_close_matches(named, names[:_MOST_COMPARED], n=20, cutoff=0.0)
            raise SourceError(
                f"{shown} has no column `{named}` (columns.{role}); it has {quoted_names(close)}"
            )
        return str(named)
    if not usual:
        return None
    return _only(role, usual_names(role, names), columns, shown)


def _only(role: str, names: Sequence[str], columns: ColumnNames, shown: str) -> str | None:
    """The only one of the names that is not another role's. Raises SourceError if there are several."""
    others = _named_for_other_roles(role, columns)
    found = [name for name in names if name not in others]
    if len(found) > 1:
        raise SourceError(
            f"{shown} has {quoted_names(found)}, each of which may hold the {role}: "
            f"choose with --set columns.{role}={found[0]} (or {NONE})"
        )
    return found[0] if found else None


def _named_for_other_roles(role: str, columns: ColumnNames) -> set[str]:
    settings: Mapping[str, str | None] = vars(columns)
    return {name for other, name in settings.items() if other != role and name is not None}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
