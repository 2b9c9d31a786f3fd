"""Recognises which folders of a source are people, and which are parts of a data set that hold people."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from facerefs.stages.sources.source import SourceError

_TEXT = """
    train training test testing val valid validation dev eval query gallery probe probes split splits
    image images img imgs photo photos picture pictures pics frame frames faces crop crops cropped
    aligned align original originals raw loosely data dataset datasets db set sets dir folder folders
    part parts batch batches shard shards chunk chunks fold people persons identities celebs celebrities
    release download downloads jpg jpeg png lfw deepfunneled funneled celeba hq vggface casia webface
    ffhq youtubefaces facescrub voxceleb
"""
_PARTS_OF_SETS = frozenset(_TEXT.split())
"""Words of which the names of folders consist that are parts of a data set, and nobody's folder."""
_WORDS = re.compile(r"[^\W\d_]+")
_COUNTED = re.compile(r"\d{1,4}|(19|20)\d\d([-_. ]?\d\d){0,2}")  # a video or session: 0, 12, 2019-05-30
_FULL_NAME = re.compile(r"[^\W\d_]+[.'’-]?([ _]+[^\W\d_][\w.'’-]*)+")
_DIGITS = re.compile(r"\d+")
_FEW_FOLDERS = 20
_MANY_IN_EACH = 8
_NAMED = 3


@dataclass(frozen=True)
class PeopleFolders:
    """Which folder in the path of a photo is its person: the first that is no part of a set, or that of a level."""

    parts: frozenset[str] = frozenset()
    """Paths of the folders that are parts of a set, and hold people or photos of anybody."""
    level: int | None = None
    """The level that the user has set: 1 for the folders in the source, 0 for none."""

    def person(self, folder: str) -> str | None:
        """The name of the person whose photos a folder holds, by its path; None if it is nobody's."""
        names = folder.split("/") if folder else []
        level = self._first_level(names) if self.level is None else self.level
        return names[level - 1] if 0 < level <= len(names) else None

    def _first_level(self, names: list[str]) -> int:
        level = 1
        while level <= len(names) and "/".join(names[:level]) in self.parts:
            level += 1
        return level

    def notes(self, photos: Mapping[str, int]) -> Iterator[str]:
        """Sentences about what was recognised. photos: the number of photos in each folder, by its path."""
        people = sorted({person for folder in photos if (person := self.person(folder)) is not None})
        levels = sorted(
            {self._first_level(folder.split("/")) for folder in photos if self.person(folder) is not None}
        )
        unnamed = sum(count for folder, count in photos.items() if self.person(folder) is None)
        where = f"people are the folders of level {' and '.join(map(str, levels))} ({_examples(people)})"
        if self.parts:
            top = sorted(part for part in self.parts if not _holds_parts(part, self.parts))
            what = "is taken for part of a data set" if len(top) == 1 else "are taken for parts of a data set"
            who = where if people else "no folder is a person"
            yield f"{who}: {_examples(top)} {what}; if that is wrong, --set folder.person_level=1"
        elif self.level is None and any("/" in folder for folder in photos):
            yield f"{where}, not those within them; if that is wrong, --set folder.person_level=2"
        elif self.level and not people:
            yield f"no photo lies in a folder of level {self.level} (folder.person_level), so none has a name"
        if unnamed and (people or self.parts):
            yield f"{unnamed} of {sum(photos.values())} photos have no name: they lie in nobody's folder"


def recognise_people(photos: Mapping[str, int], numbered: Mapping[str, int], root: str) -> PeopleFolders:
    """The folders that are people.

    photos, numbered: how many photos are in each folder, by its path, and how many `signs_of_shard`.
    Raises SourceError if people may be at either of two levels.
    """
    tree = _Tree(photos, numbered)
    parts: set[str] = set()
    people: list[str] = []
    waiting = [""]
    while waiting:
        place = waiting.pop()
        found = tree.parts_in(place)
        parts.update(found)
        waiting += found
        people += [folder for folder in tree.children.get(place, ()) if folder not in parts]
    if doubt := tree.doubt(people):
        raise SourceError(f"{root} {doubt}")
    return PeopleFolders(frozenset(parts))


@dataclass
class _Tree:
    """The folders that hold photos, or in which folders do."""

    photos: Mapping[str, int]
    numbered: Mapping[str, int]
    children: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {""}
        for folder in self.photos:
            while folder not in known:
                known.add(folder)
                above = folder.rpartition("/")[0]
                self.children.setdefault(above, []).append(folder)
                folder = above  # noqa: PLW2901

    def parts_in(self, place: str) -> list[str]:
        """The folders in `place` that are parts of a set, and not people."""
        folders = self.children.get(place, [])
        named = [folder for folder in folders if _names_part(folder)]
        if folders and len(named) == len(folders):
            return named
        if len(folders) == 1 and not self.photos.get(place) and self._branches(folders[0]):
            return folders
        sure = {folder for folder in named if self._holds_people(folder)}
        return [folder for folder in folders if folder in sure or self._is_shard(folder)]

    def _is_shard(self, folder: str) -> bool:
        return 0 < self.photos.get(folder, 0) <= self.numbered.get(folder, 0)

    def _holds_people(self, folder: str) -> bool:
        return self._holds_folders_only(folder) and not all(map(_is_count, self.children[folder]))

    def _holds_folders_only(self, folder: str) -> bool:
        return not self.photos.get(folder)

    def _branches(self, folder: str) -> bool:
        """Whether a folder, perhaps after others that hold nothing else, holds several that may be people."""
        while self._holds_folders_only(folder) and len(self.children[folder]) == 1:
            (folder,) = self.children[folder]
        return self._holds_people(folder)

    def doubt(self, people: list[str]) -> str | None:
        """Why people may as well be one level below these folders; None if they may not."""
        below = [folder for person in people for folder in self.children.get(person, ())]
        if not below or len(people) > _FEW_FOLDERS or any(self.photos.get(person) for person in people):
            return None
        names = {_base(folder) for folder in below}
        if len(names) < len(below) or all(map(_is_count, below)):
            return None  # each person has a folder of that name, or they are counted
        are_many = len(below) >= _MANY_IN_EACH * len(people)
        are_named = not any(map(_is_full_name, people)) and all(map(_is_full_name, below))
        are_counted = all(map(_is_count, people)) and not any(map(_is_count, below))
        if not are_counted and (len(below) < 2 * len(people) or not (are_many or are_named)):
            return None
        level = 1 + people[0].count("/")
        return (
            f"has people at one of two levels, and nobody can tell at which: in folders such as {_base(people[0])} "
            f"({len(people)}), or in those within them, such as {_base(below[0])} ({len(below)}); say it with "
            f"--set folder.person_level={level} or {level + 1} (0: at neither)"
        )


def is_sign_of_shard(folder: str, name: str) -> bool:
    """Whether a file of this name makes the numbered folder that it lies in a shard of photos, and not a person.

    In a shard of img2dataset each photo has a .json beside it and a number that begins with that of the shard; in
    FFHQ the folder 01000 holds 01000.png to 01999.png.
    """
    shard = _base(folder)
    if _DIGITS.fullmatch(shard) is None:
        return False
    number, _, extension = name.partition(".")
    if extension == "json":
        return True
    if _DIGITS.fullmatch(number) is None:
        return False
    in_img2dataset = len(shard) == 5 and len(number) >= 9 and number.startswith(shard)
    in_ffhq = len(number) == len(shard) == 5 and shard.endswith("000") and number[:2] == shard[:2]
    return in_img2dataset or in_ffhq


def _base(folder: str) -> str:
    return folder.rpartition("/")[2]


def _names_part(folder: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(_base(folder))]
    return bool(words) and _PARTS_OF_SETS.issuperset(words)


def _is_count(folder: str) -> bool:
    return _COUNTED.fullmatch(_base(folder)) is not None


def _is_full_name(folder: str) -> bool:
    return _FULL_NAME.fullmatch(_base(folder)) is not None


def _holds_parts(part: str, parts: frozenset[str]) -> bool:
    return any(other.startswith(f"{part}/") for other in parts)


def _examples(folders: list[str]) -> str:
    more = f" and {len(folders) - _NAMED} more" if len(folders) > _NAMED else ""
    return ", ".join(folders[:_NAMED]) + more
