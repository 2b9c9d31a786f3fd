"""What `facerefs restore` and `facerefs.restore` give back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.writing.records import FaceRecord
from facerefs.pipeline.text import plural


@dataclass(frozen=True)
class RestoredPhoto:
    """A photo that was written, with what happened to its faces, the largest first.

    warnings: what may be wrong, with how its faces were found. notes: what was changed without loss of sense.
    """

    photo: Path
    files: tuple[Path, ...]
    faces: tuple[FaceRecord, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Restoration(tuple[Path, ...]):
    """The files that were written, as a tuple of paths, and what happened to each photo.

    photos: those that were restored. left_out: those that could not be, with the reason. skipped: entries of the folder
    that are no photos. done: photos whose outputs were there already. notes: on references and options.
    """

    photos: tuple[RestoredPhoto, ...]
    left_out: Mapping[Path, str]
    skipped: tuple[Path, ...]
    done: tuple[Path, ...]
    notes: tuple[str, ...]

    def __new__(
        cls,
        photos: Sequence[RestoredPhoto],
        left_out: Mapping[Path, str] = MappingProxyType({}),
        skipped: Sequence[Path] = (),
        done: Sequence[Path] = (),
        notes: Sequence[str] = (),
    ) -> "Restoration":
        self = super().__new__(cls, (path for photo in photos for path in photo.files))
        self.photos = tuple(photos)
        self.left_out = dict(left_out)
        self.skipped = tuple(skipped)
        self.done = tuple(done)
        self.notes = tuple(notes)
        return self

    def __getnewargs__(self) -> tuple[object, ...]:  # for pickle, between processes
        return self.photos, self.left_out, self.skipped, self.done, self.notes

    @property
    def warnings(self) -> dict[Path, tuple[str, ...]]:
        """The warnings of each photo that has some."""
        return {one.photo: one.warnings for one in self.photos if one.warnings}

    @property
    def summary(self) -> str:
        """Such as `3 photos, 4 faces restored, 1 left as they were (1 failed), 1 with warnings, 2 left out`."""
        faces = [face for one in self.photos for face in one.faces]
        kinds = Counter(face.left_kind for face in faces if face.left)
        restored = sum(not face.left for face in faces)
        why = f" ({', '.join(f'{count} {kind}' for kind, count in kinds.items())})" if kinds else ""
        counts = {"left out": self.left_out, "skipped": self.skipped, "there already": self.done}
        more = [f"{len(entries)} {what}" for what, entries in counts.items() if entries]
        parts = [
            plural(len(self.photos), "photo"),
            f"{plural(restored, 'face')} restored",
            f"{kinds.total()} left as they were{why}",
            f"{len(self.warnings)} with warnings",
        ]
        return ", ".join([*parts, *more])


class RestoreError(UserError):
    """Some of several photos could not be restored. result: what was done, and why photos were left out."""

    def __init__(self, sentence: str, result: Restoration) -> None:
        super().__init__(sentence)
        self.result = result
