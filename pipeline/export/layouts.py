"""All layouts, by their names in `facerefs export --to`."""

from collections.abc import Mapping

from facerefs.pipeline.export import folders
from facerefs.pipeline.export.layout import LayoutKind

LAYOUTS: Mapping[str, LayoutKind] = {
    "folders": folders.KIND,
}


def choices() -> list[tuple[str, str]]:
    """Each layout with its sentence and its split, for the help."""
    return [
        (name, f"{kind.sentence} ({'all splits' if kind.split == 'all' else kind.split})")
        for name, kind in LAYOUTS.items()
    ]
