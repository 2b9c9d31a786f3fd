"""Reads the people to search for from a file: one on each line, perhaps with a tab and a label."""

from dataclasses import dataclass
from pathlib import Path

from facerefs.schemas.paths import text_of_path
from facerefs.stages.sources.source import SourceError


@dataclass(frozen=True)
class Wanted:
    """What to search for (an id, a category, a name), and the label of its photos, if that is another text.

    `listed.yaml` of a build holds its repr: another class or field name would make services list everything again.
    """

    text: str
    label: str | None = None


def read_people(path: Path) -> list[Wanted]:
    """The people in the lines of a file, without empty lines.

    Raises SourceError for a file that cannot be read or is empty, and for a line with more than one tab.
    """
    shown = text_of_path(str(path))
    people = []
    for number, line in enumerate(_text(path, shown).split("\n"), start=1):
        fields = [" ".join(field.split()) for field in line.split("\t")]
        if not any(fields):
            continue
        if len(fields) > 2 or not all(fields):
            raise SourceError(
                f"{shown}, line {number}: expected one of those to look for, and perhaps a tab and a label, "
                f"found {line.strip()!r}"
            )
        people.append(Wanted(*fields))
    if not people:
        raise SourceError(f"{shown} is empty: it should name those to look for, one a line")
    return people


def _text(path: Path, shown: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise SourceError(f"cannot read {shown}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"cannot read {shown}: it is not UTF-8 text") from error
