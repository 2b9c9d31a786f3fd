"""What a typed name means in a build: the label or photo key that differs from it in its spelling only."""

from collections.abc import Callable, Collection

import pyarrow.compute as pc

from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.names import name_key, path_key


def as_known(storage: Storage, texts: Collection[str]) -> dict[str, str]:
    """For each text the label or key of `sources` that is equal but for its spelling; else the text itself."""
    if not texts:
        return {}
    labels = _matches(storage, "label", {name_key(text) for text in texts}, name_key)
    # A key in ASCII has no other spelling.
    keys = _matches(storage, "key", {path_key(text) for text in texts if not text.isascii()}, path_key)
    return {
        text: _known(text, labels.get(name_key(text), []) + keys.get(path_key(text), [])) for text in texts
    }


def _known(text: str, found: list[str]) -> str:
    return text if text in found or not found else found[0]


def _matches(
    storage: Storage, column: str, wanted: set[str], form: Callable[[str], str]
) -> dict[str, list[str]]:
    """The values of a column that have one of the forms, by the form."""
    found: dict[str, list[str]] = {}
    for name in storage.parts("sources") if wanted else ():
        values = pc.unique(storage.read("sources", name, (column,))[column]).drop_null()
        for value in values.to_pylist():
            if form(value) in wanted and value not in found.setdefault(form(value), []):
                found[form(value)].append(value)
    return found
