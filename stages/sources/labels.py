"""Reads the labels of photos from a file such as CelebA's: `000001.jpg 2880` on every line."""

from pathlib import Path

from facerefs.schemas.paths import text_of_path
from facerefs.stages.sources.source import SourceError


def read_labels(path: Path) -> dict[str, str]:
    """The label of each file name, from lines of a file name and a label.

    White space separates the two; in a line with a tab, the tab does, and both may hold blanks. Empty lines are
    ignored. Raises SourceError for an unreadable file, a malformed line, and a name with two labels.
    """
    labels: dict[str, str] = {}
    shown = text_of_path(str(path))
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        fields = [field.strip() for field in (line.split("\t") if "\t" in line else line.split())]
        if len(fields) != 2 or not all(fields):
            raise SourceError(
                f"{shown}, line {number}: expected a file name and a label, found {line.strip()!r}"
            )
        name, label = fields
        if labels.setdefault(name, label) != label:
            raise SourceError(
                f"{shown}, line {number}: {name} is {label} here, but {labels[name]} further up"
            )
    return labels


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise SourceError(f"cannot read the labels in {text_of_path(str(path))}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"cannot read the labels in {text_of_path(str(path))}: it is not UTF-8 text"
        ) from error
