"""The names behind the numbers of Hugging Face's ClassLabel columns, which `datasets` writes into a file's metadata."""

import json
from collections.abc import Callable, Mapping
from typing import Any

_KEY = b"huggingface"
_NO_LABEL = -1


def class_labels(metadata: Mapping[bytes, bytes] | None) -> dict[str, Callable[[Any], Any]]:
    """For each such column a function from a number, or a list of numbers, to names.

    It gives None for -1, as `datasets` does where a label is not known, and raises ValueError for any other number
    without a name. metadata: of the schema, None if there is none; what is not as `datasets` writes it is ignored.
    """
    try:
        features = json.loads((metadata or {}).get(_KEY, b"{}"))["info"]["features"]
        found = {name: _converter(name, feature) for name, feature in features.items()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}
    return {name: convert for name, convert in found.items() if convert is not None}


def _converter(column: str, feature: Any) -> Callable[[Any], Any] | None:
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") != "ClassLabel":
        each = _converter(column, feature.get("feature"))
        return (
            None if each is None else lambda value: None if value is None else [each(item) for item in value]
        )
    names = feature.get("names")
    if not isinstance(names, list) or not names:
        return None

    def name(value: Any) -> Any:
        if not isinstance(value, int) or value == _NO_LABEL:
            return None if value == _NO_LABEL else value
        if not 0 <= value < len(names):
            raise ValueError(
                f"its {column} is {value}, but the file names only the classes 0 to {len(names) - 1}"
            )
        return str(names[value])

    return name
