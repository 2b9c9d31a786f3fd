"""What `facerefs restore` and `facerefs.restore` give back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from facerefs.pipeline.errors import UserError


@dataclass(frozen=True)
class RestoredPhoto:
    """A photo that was restored.

    faces: how many it shows. similarities: the cosine of the restored face to each reference, by the engine's
    embedder; empty if the model uses none. warnings: what may be wrong. notes: what was changed without loss of sense.
    """

    photo: Path
    files: tuple[Path, ...]
    faces: int
    similarities: tuple[float, ...] = ()
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
        """Such as `3 restored, 1 with warnings, 2 left out`."""
        counts = {"left out": self.left_out, "skipped": self.skipped, "there already": self.done}
        more = [f"{len(entries)} {what}" for what, entries in counts.items() if entries]
        return ", ".join([f"{len(self.photos)} restored, {len(self.warnings)} with warnings", *more])


class RestoreError(UserError):
    """Some of several photos could not be restored. result: what was done, and why photos were left out."""

    def __init__(self, sentence: str, result: Restoration) -> None:
        super().__init__(sentence)
        self.result = result
