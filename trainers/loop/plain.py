"""Settings as plain nested values, which YAML, JSON and a checkpoint can hold."""

from dataclasses import Field, fields, is_dataclass
from typing import Any


def is_setting(item: Field[Any]) -> bool:
    """Whether a field of a dataclass is a setting: not private, and not filled from what several dataclasses share."""
    return item.init and not item.name.startswith("_") and not item.metadata.get("shared", False)


def plain(value: Any) -> Any:
    """A dataclass as a dictionary of its settings, tuples as lists, all else as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value) if is_setting(item)}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
