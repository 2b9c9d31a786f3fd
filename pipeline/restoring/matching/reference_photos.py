"""The reference photos of each person, from photos and folders that the user names."""

from collections.abc import Sequence
from pathlib import Path

from facerefs.pipeline.errors import UserError

UNNAMED = "the person"
"""Whom photos show that are given one by one."""


def reference_photos(given: Sequence[Path]) -> dict[str, list[Path]]:
    """The photos by person, sorted by name.

    Photos are of one person. A folder of photos is a person of its name; its sub-folders are people of theirs.
    Raises UserError for what is not there or holds no photo.
    """
    people: dict[str, list[Path]] = {}
    for place in given:
        found = _people_of(place) if place.is_dir() else {UNNAMED: [place]}
        for name, photos in found.items():
            people.setdefault(name, []).extend(photos)
    return people


def _people_of(folder: Path) -> dict[str, list[Path]]:
    people: dict[str, list[Path]] = {}
    own = _photos(folder)
    if own:
        people[folder.resolve().name] = own
    for place in _entries(folder):
        if place.is_dir() and not place.name.startswith(".") and (photos := _photos(place)):
            people.setdefault(place.name, []).extend(photos)
    if not people:
        raise UserError(f"--reference {folder} holds no photos, and no folders of them")
    return people


def _photos(folder: Path) -> list[Path]:
    from facerefs.stages.images.photo_files import is_photo

    try:
        return [
            path
            for path in _entries(folder)
            if path.is_file() and not path.name.startswith(".") and is_photo(path)
        ]
    except OSError as error:
        raise UserError(f"cannot read a photo in {folder}: {error.strerror}") from None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror}") from None
