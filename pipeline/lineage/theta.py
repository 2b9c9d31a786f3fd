"""The operations of a theta, for display."""

import json
from typing import Any

from facerefs.pipeline.lineage.trace import Row


def theta_of(text: Any) -> tuple[Row, ...]:
    """The operations of a theta; none if its text cannot be read."""
    try:
        tree = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return ()
    operations = tree.get("operations", []) if isinstance(tree, dict) else tree
    return tuple(one for one in operations if isinstance(one, dict)) if isinstance(operations, list) else ()
