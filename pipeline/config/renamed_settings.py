"""Renamed settings: used in error messages, and to read the settings file of an existing build or run."""

from copy import deepcopy
from typing import Any

RENAMED = {
    "compare.rule": "copies.rule",
    "select.rule": "copies.rule",
    "select.copy_distance": "copies.rule.hash_bits",
    "select.copy_landmarks": "copies.rule.landmarks",
    "select.copy_similarity": "copies.rule.copy_similarity",
    "copies.rule.twin_hash_bits": "copies.rule.same_shot_hash_bits",
    "copies.rule.twin_similarity": "copies.rule.same_shot_similarity",
}
"""Old name of a setting or of a group of settings -> its present name."""


def with_new_names(tree: Any) -> Any:
    """A copy of a tree of settings with the present names.

    If two old names became one and their values differ, the second keeps its old name, and so shows as a difference.
    """
    if not isinstance(tree, dict):
        return tree
    tree = deepcopy(tree)
    for old, new in RENAMED.items():
        *path, last = old.split(".")
        owner = _group(tree, path)
        if owner is None or last not in owner:
            continue
        *new_path, new_last = new.split(".")
        new_owner = _group(tree, new_path, make=True)
        if new_owner is not None and new_owner.setdefault(new_last, owner[last]) == owner[last]:
            del owner[last]
    return tree


def _group(tree: dict[Any, Any], path: list[str], make: bool = False) -> dict[Any, Any] | None:
    """The group of settings at this path; None if there is no such group."""
    for name in path:
        if make:
            tree.setdefault(name, {})
        group = tree.get(name)
        if not isinstance(group, dict):
            return None
        tree = group
    return tree
