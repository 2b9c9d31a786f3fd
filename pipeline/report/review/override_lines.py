"""Lines for `overrides.csv` that overturn a decision, ready to be pasted."""

import csv
import io
from collections.abc import Iterable

from facerefs.pipeline.build.overrides import is_valid_line
from facerefs.pipeline.text import shown


def override_line(decision: str, what: str, other: str = "", comment: str = "") -> str:
    """One line of `overrides.csv`, without the newline."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([decision, what, other, comment])
    return buffer.getvalue()


def first_pasteable(lines: Iterable[str]) -> str | None:
    """The first line that is valid in `overrides.csv` and is shown unchanged in a page; None if there is none.

    A name with invisible characters would be pasted wrongly, and a name may look like the id of a photo.
    """
    return next((text for text in lines if shown(text) == text and is_valid_line(text)), None)
