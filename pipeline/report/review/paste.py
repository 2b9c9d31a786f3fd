"""Lines of `overrides.csv`, ready to be pasted, that overturn a decision."""

import csv
import io
from collections.abc import Iterable

from facerefs.pipeline.build.overrides import is_valid_line
from facerefs.pipeline.text import shown


def line(decision: str, what: str, other: str = "") -> str:
    """One line of the file, without its end."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([decision, what, other, ""])
    return buffer.getvalue()


def first_that_shows(lines: Iterable[str]) -> str | None:
    """The first line that the file may hold and that a page shows as it is.

    Names with characters that cannot be seen would be pasted wrongly, and one may look like the id of a photo.
    """
    return next((text for text in lines if shown(text) == text and is_valid_line(text)), None)
