"""The names of photos from a file, such as CelebA's (`000001.jpg 2880` on every line) or a .csv with a header."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from facerefs.schemas.names import path_key
from facerefs.stages.sources.source import SourceError

_NAMED = 3


@dataclass(frozen=True)
class PhotoLabels:
    """The name of each photo that a file names, by its path or by the end of it.

    A photo takes the longest line that its path ends with. A line that begins with a slash, or has folders and is the
    whole path of a photo, names that photo alone; any other line may fit one photo only.
    """

    file: str  # for messages
    labels: Mapping[str, str]  # by `path_key`
    whole: frozenset[str] = frozenset()  # lines that name no photo but the one of this path

    def of(self, key: str) -> str | None:
        """The name of the photo with this key; None if no line names it."""
        line = self.line(key)
        return None if line is None else self.labels[line]

    def line(self, key: str) -> str | None:
        """The line that names the photo with this key."""
        path = path_key(key)
        end = f"/{path}"
        while end and end not in self.labels:
            end = end.partition("/")[2]
        return None if not end or (end in self.whole and end != path) else end


def matched(labels: PhotoLabels, keys: Iterable[str], folder: str) -> tuple[PhotoLabels, list[str]]:
    """The labels after they were held against all photos of a folder, and sentences about what found no match.

    Raises SourceError if no line names a photo, and if one may mean several.
    """
    photos = 0
    named: dict[str, list[str]] = {}  # by line; the keys of all photos it fits
    first = None
    for key in keys:
        photos += 1
        first = first or key
        if (line := labels.line(key)) is not None:
            named.setdefault(line, []).append(key)
    if first is None:
        return labels, []
    if not named:
        example = f"it begins with {next(iter(labels.labels))}" if labels.labels else "it is empty"
        raise SourceError(
            f"{labels.file} names none of the photos in {folder}: {example}, the folder with {first}"
        )
    several = {line: found for line, found in named.items() if len(found) > 1}
    whole = {line for line, found in several.items() if "/" in line and line in map(path_key, found)}
    if doubtful := [line for line in several if line not in whole]:
        one, other, *_ = several[doubtful[0]]
        more = f" and {len(doubtful) - 1} more such files" if len(doubtful) > 1 else ""
        raise SourceError(
            f"{labels.file} names {doubtful[0]}, but {folder} has several ({one}, {other}){more}: write whole paths, "
            f"as in ./{one}"
        )
    named_photos = sum(1 if line in whole else len(found) for line, found in named.items())
    unused = [line.removeprefix("/") for line in labels.labels if line not in named]
    return replace(labels, whole=frozenset(whole)), list(
        _notes(labels, photos - named_photos, photos, unused)
    )


def _notes(labels: PhotoLabels, unnamed: int, photos: int, unused: list[str]) -> Iterable[str]:
    if unnamed:
        yield f"{unnamed} of {photos} photos have no name in {labels.file}"
    if unused:
        more = ", ..." if len(unused) > _NAMED else ""
        yield (
            f"{len(unused)} of {len(labels.labels)} photos that {labels.file} names are not in the folder: "
            f"{', '.join(unused[:_NAMED])}{more}"
        )
