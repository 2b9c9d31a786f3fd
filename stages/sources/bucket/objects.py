"""The objects under an address in object storage: which are photos, which are tars, and what else there is."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pyarrow.fs import FileInfo, FileSelector, FileSystem

from facerefs.schemas.file_names import BUILD_FILE, RUN_FILE
from facerefs.schemas.object_storage import sentence_of
from facerefs.stages.images.photo_files import has_photo_extension
from facerefs.stages.sources.people_folders import is_sign_of_shard
from facerefs.stages.sources.source import SourceError

_MARKS = (BUILD_FILE, RUN_FILE)
_NAMED = 3
_KINDS_NAMED = 5


@dataclass
class BucketSurvey:
    """What a listing has met, by the path under the address."""

    photos: Counter[str] = field(default_factory=Counter)  # in each folder
    signs_of_shards: Counter[str] = field(default_factory=Counter)  # in each folder
    others: Counter[str] = field(default_factory=Counter)  # objects that are no photos, by their endings
    hidden: int = 0  # photos in whose path a name begins with a dot
    outputs: list[str] = field(default_factory=list)  # folders that facerefs has written
    tars: list[FileInfo] = field(default_factory=list)

    def notes(self) -> Iterator[str]:
        """Sentences about what gets no row."""
        if self.outputs:
            more = f" and {len(self.outputs) - _NAMED} more" if len(self.outputs) > _NAMED else ""
            yield f"left out, since facerefs wrote it: {', '.join(self.outputs[:_NAMED])}{more}"
        if self.hidden:
            yield f"left out, since a name in its path begins with a dot: {self.hidden} photos"
        if self.others:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.others.most_common(_KINDS_NAMED))
            yield f"{self.others.total()} other objects are no photos by their names ({kinds})"


@dataclass(frozen=True)
class BucketObjects:
    """The objects under a path of a filesystem. In memory at a time: those of one folder directly under the path."""

    filesystem: FileSystem
    path: str
    address: str
    out: str | None = None  # the path of the build, if it is written to the same filesystem

    def photos(self, survey: BucketSurvey) -> Iterator[tuple[str, FileInfo]]:
        """The photos with their keys, sorted in each folder; all else is counted in `survey`.

        A photo is told by the ending of its name: to look into each object would be a request for each.
        Raises SourceError if they cannot be listed.
        """
        for entry in self._listed(self.path, recursive=False):
            if entry.is_file:
                yield from self._sorted([entry], survey)
            else:
                yield from self._sorted(self._listed(entry.path, recursive=True), survey)

    def _sorted(self, entries: list[FileInfo], survey: BucketSurvey) -> Iterator[tuple[str, FileInfo]]:
        files = [(entry.path[len(self.path) + 1 :], entry) for entry in entries if entry.is_file]
        outputs = {key.rpartition("/")[0] for key, _ in files if key.rpartition("/")[2] in _MARKS}
        outputs |= (
            {self.out[len(self.path) + 1 :]} if self.out and self.out.startswith(f"{self.path}/") else set()
        )
        within = {key for key, _ in files if any(key.startswith(f"{output}/") for output in outputs)}
        survey.outputs += sorted(
            output for output in outputs if any(key.startswith(f"{output}/") for key in within)
        )
        for key, entry in files:
            if key not in within and self._is_photo(key, entry, survey):
                yield key, entry

    def _is_photo(self, key: str, entry: FileInfo, survey: BucketSurvey) -> bool:
        folder, _, name = key.rpartition("/")
        if any(part.startswith(".") for part in key.split("/")):
            survey.hidden += has_photo_extension(name)
            return False
        survey.signs_of_shards[folder] += is_sign_of_shard(folder, name)
        if has_photo_extension(name):
            survey.photos[folder] += 1
            return True
        if name.lower().endswith(".tar"):
            survey.tars.append(entry)
        else:
            survey.others[PurePosixPath(name).suffix.lower() or "without an ending"] += 1
        return False

    def _listed(self, path: str, recursive: bool) -> list[FileInfo]:
        try:
            return sorted(
                self.filesystem.get_file_info(FileSelector(path, recursive=recursive, allow_not_found=True)),
                key=lambda entry: entry.path,
            )
        except OSError as error:
            raise SourceError(sentence_of(error, self.address)) from None
