"""Walks through a local folder: the photos in it, and what it holds besides."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from facerefs.schemas.paths import text_of_path
from facerefs.stages.images.photo_files import has_photo_extension, is_photo
from facerefs.stages.sources.outputs import is_output
from facerefs.stages.sources.people_folders import is_sign_of_shard
from facerefs.stages.sources.source import SourceError

_SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini", ".directory", ".localized"})
_NAMED = 3


@dataclass
class FolderSurvey:
    """What a walk has met, by the path in the folder."""

    photos: Counter[str] = field(default_factory=Counter)  # in each folder
    signs_of_shards: Counter[str] = field(default_factory=Counter)  # in each folder: `is_sign_of_shard`
    dead_links: list[tuple[str, str]] = field(default_factory=list)  # that get a row, and where they lead
    others: Counter[str] = field(default_factory=Counter)  # files that are no photos, by their endings
    hidden: list[str] = field(default_factory=list)  # hidden photos and folders
    outputs: list[str] = field(default_factory=list)  # folders that facerefs has written

    def notes(self) -> Iterator[str]:
        """Sentences about what gets no row."""
        if self.outputs:
            yield f"left out, since facerefs wrote it: {_some(self.outputs)}"
        if self.hidden:
            yield f"left out, since its name begins with a dot: {_some(self.hidden)}"
        if self.others:
            number = sum(self.others.values())
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.others.most_common(_NAMED + 2))
            more = ", ..." if len(self.others) > _NAMED + 2 else ""
            yield f"{number} other {'file is no photo' if number == 1 else 'files are no photos'} ({kinds}{more})"


@dataclass(frozen=True)
class FolderFiles:
    """The files of a folder. Photos are the regular files that `is_photo`, hidden ones excepted.

    Symbolic links are followed to files in the folder only. What facerefs has written is left out: `out`, the folder
    of the build itself, and any build, training set or run within the folder.
    """

    root: Path  # resolved
    out: Path | None = None

    def photos(self, survey: FolderSurvey) -> Iterator[os.DirEntry[str]]:
        """The entries that get a row, sorted within each folder; all else is counted in `survey`.

        It does not recurse, since folders may be nested deeper than Python's stack. Raises SourceError if a
        sub-folder cannot be listed.
        """
        out = None if self.out is None else os.path.realpath(self.out)
        waiting = [self._entries(str(self.root), out, survey)]
        while waiting:
            entry = next(waiting[-1], None)
            if entry is None:
                waiting.pop()
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(self._entries(entry.path, out, survey))
            elif self._gets_row(entry, out, survey):
                key = self.key(entry)
                survey.photos[key.rpartition("/")[0]] += 1
                if entry.is_symlink() and self.status(entry) is None:
                    survey.dead_links.append((key, text_of_path(os.path.realpath(entry.path))))
                yield entry

    def key(self, entry: os.DirEntry[str]) -> str:
        """The path of an entry in the folder."""
        return text_of_path(entry.path.removeprefix(str(self.root)).lstrip("/"))  # relpath is slow

    def status(self, entry: os.DirEntry[str]) -> os.stat_result | None:
        """Size and times of a file in the folder; None for a link to elsewhere, and for what cannot be read."""
        if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(self.root):
            return None
        try:
            status = entry.stat()
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def _entries(self, folder: str, out: str | None, survey: FolderSurvey) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            raise SourceError(f"cannot list {text_of_path(folder)}: {error.strerror}") from error
        path = text_of_path(os.path.relpath(folder, self.root))
        if path != "." and (
            _is_same(folder, out) or is_output(Path(folder), {entry.name for entry in entries})
        ):
            survey.outputs.append(path)
            return iter(())
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        survey.hidden += [
            self.key(entry)
            for entry in entries
            if entry.name.startswith(".") and not entry.name.startswith("._") and _holds_photos(entry)
        ]
        if signs := sum(is_sign_of_shard(path, entry.name) for entry in shown):
            survey.signs_of_shards[path] = signs
        return iter(shown)

    def _gets_row(self, entry: os.DirEntry[str], out: str | None, survey: FolderSurvey) -> bool:
        """Whether an entry is a photo, or a link that would otherwise be ignored silently."""
        if entry.is_symlink():
            return self._link_gets_row(entry, out, survey)
        try:
            gets_row = entry.is_file() and is_photo(Path(entry.path))
        except OSError:
            gets_row = True  # so that crawl rejects it by name: it cannot be read, and may be a photo
        if not gets_row and entry.name.lower() not in _SYSTEM_FILES:
            survey.others[ending(Path(entry.name))] += 1
        return gets_row

    def _link_gets_row(self, entry: os.DirEntry[str], out: str | None, survey: FolderSurvey) -> bool:
        target = Path(os.path.realpath(entry.path))
        if out is not None and target.is_relative_to(out):
            survey.outputs.append(self.key(entry))
            return False
        try:
            if stat.S_ISREG(entry.stat().st_mode):
                gets_row = has_photo_extension(entry.name)
                survey.others.update([] if gets_row else [ending(Path(entry.name))])
                return gets_row
        except OSError:
            return True  # broken, perhaps since a disk is missing: it may have led to photos
        # What a visible folder in this one holds is listed anyway.
        return not target.is_relative_to(self.root) or _is_hidden(target.relative_to(self.root))


def ending(path: Path) -> str:
    """The kind of a file in the notes of a survey."""
    return path.suffix.lower() or "without an ending"


def _is_same(folder: str, out: str | None) -> bool:
    try:
        return out is not None and (folder == out or Path(folder).samefile(out))
    except OSError:
        return False  # there is none yet


def _holds_photos(entry: os.DirEntry[str]) -> bool:
    return has_photo_extension(entry.name) or entry.is_dir(follow_symlinks=False)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
