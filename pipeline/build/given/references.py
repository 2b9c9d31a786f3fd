"""The names of references in one field of a list: a list, a list in a text as Python or JSON writes it, or one name."""

import ast
import re
from typing import Any

MAX_LISTED = 1024
_MAX_CHARACTERS = 1 << 20
_ITEM = re.compile(
    r"""[ \t\r\n\f]*('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")[ \t\r\n\f]*(,|(?=\]))""", re.ASCII
)
_BLANKS = " \t\r\n\f"  # Python's, between the names


def reference_names(value: Any) -> list[str]:
    """The names, in their order; none for an empty field. Raises ValueError, in one sentence, for anything else.

    A text that begins with `[` is a flat list of quoted names; nothing in it is run.
    """
    if value is None:
        return []
    if isinstance(value, str):
        stripped = value.strip()
        names = _listed(stripped) if stripped.startswith("[") else [stripped] if stripped else []
    elif isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        names = list(value)
    else:
        raise ValueError(f"the references are neither a text nor a list of texts, but {type(value).__name__}")
    if len(names) > MAX_LISTED:
        raise ValueError(f"{len(names)} references in one row, at most {MAX_LISTED} are read")
    if any(not name.strip() for name in names):
        raise ValueError("a reference has an empty name")
    return [name.strip() for name in names]


def _listed(text: str) -> list[str]:
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(f"the list of references has more than {_MAX_CHARACTERS} characters")
    names: list[str] = []
    at, end = 1, len(text) - 1
    if not text.endswith("]") or end < at:
        raise ValueError(f"the list of references does not end with ]: {_short(text)}")
    while text[at:end].strip(_BLANKS):
        found = _ITEM.match(text, at)
        if found is None or found.end() > end or len(names) > MAX_LISTED:
            raise ValueError(f"the list of references is no list of quoted names: {_short(text)}")
        names.append(_unquoted(found[1]))
        at = found.end()
    return names


def _unquoted(literal: str) -> str:
    try:
        return str(ast.literal_eval(literal))  # one string without a line break, so nothing nests
    except (SyntaxError, ValueError):
        raise ValueError(f"a reference is quoted wrongly: {_short(literal)}") from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
