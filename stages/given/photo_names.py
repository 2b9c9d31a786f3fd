"""Finds the photo of a source that a published list means by a name."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from facerefs.schemas.names import path_key
from facerefs.stages.images.photo_files import has_photo_extension


class PhotoNames:
    """The keys of a source's photos, found by names as others write them.

    A name is a path; the photo is the one with this key, else the one whose path agrees with it in most parts from the
    end, in the last one at least. Where no file has the name's ending, or where it has none, another ending does not
    count: `00012.png` finds `00012.webp`. Parts before those that agree may be different: `images512x512/00012.png`.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._by_stem: dict[str, list[tuple[list[str], str]]] = defaultdict(list)
        for key in keys:
            parts = _parts(key)
            self._by_stem[_stem(parts[-1])].append((parts, key))

    def find(self, name: str) -> list[str]:
        """The keys that the name fits equally well: one if it is clear, none if it is unknown."""
        parts = _parts(name)
        fits = self._by_stem.get(_stem(parts[-1]), [])
        exact = [one for one in fits if one[0][-1] == parts[-1]]
        fits = exact or fits
        ends = [_common_end(parts[:-1], found[:-1]) for found, _ in fits]
        same = [key for found, key in fits if found == parts]
        return same or [key for (_, key), end in zip(fits, ends, strict=True) if end == max(ends)]


def _parts(path: str) -> list[str]:
    plain = path_key(path.strip().replace("\\", "/"))
    if "://" in plain:
        plain = re.split("[?#]", plain)[0]
    return [part for part in plain.split("/") if part not in ("", ".")] or [""]


def _stem(name: str) -> str:
    return posixpath.splitext(name)[0] if has_photo_extension(name) else name


def _common_end(parts: Sequence[str], others: Sequence[str]) -> int:
    count = 0
    for one, other in zip(reversed(parts), reversed(others), strict=False):
        if one != other:
            break
        count += 1
    return count
