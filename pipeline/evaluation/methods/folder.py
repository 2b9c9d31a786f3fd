"""The outputs of any program, in a folder: which file belongs to which sample, and its pixels."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facerefs.pipeline import text
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.methods.method import Kind, Outputs
from facerefs.pipeline.evaluation.samples import EvaluationBatch
from facerefs.stages.images.decode import DecodedPhoto, DecodeError, DecodeLimits, decode
from facerefs.stages.images.photo_files import has_photo_extension

_LIMITS = DecodeLimits(min_side_px=1)
_SHOWN = 3
_SEPARATORS = re.compile(r"[._ ]")


@dataclass(frozen=True, eq=False)
class FolderMethod:
    """The outputs of a program. files: by key of the sample; extra: files of no sample; missing: keys without a file.

    side_px: of the faces of the set; files of that side are reduced to `size_px`, if it is smaller.
    """

    name: str
    folder: Path
    files: Mapping[str, Path]
    extra: Sequence[Path]
    missing: Sequence[str]
    side_px: int
    size_px: int
    kind: Kind = "folder"
    references: int = 0
    transparent: set[Path] = field(default_factory=set)

    @property
    def path(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing or left over."""
        notes = []
        if self.missing:
            notes.append(
                f"{self.name}: {text.plural(len(self.missing), 'sample')} of {len(self.missing) + len(self.files)} "
                f"without a file in {self.folder} ({_some(self.missing)})"
            )
        if self.extra:
            names = _some([path.name for path in self.extra])
            notes.append(
                f"{self.name}: {text.plural(len(self.extra), 'file')} of no sample in {self.folder} ({names})"
            )
        if self.transparent:
            names = _some([path.name for path in sorted(self.transparent)])
            notes.append(
                f"{self.name}: {text.plural(len(self.transparent), 'file')} with transparency, ignored ({names})"
            )
        if self.size_px != self.side_px:
            notes.append(
                f"{self.name}: files of {self.side_px} px are reduced to {self.size_px} px, as the set is"
            )
        return tuple(notes)

    def outputs(self, batch: EvaluationBatch) -> Outputs:
        """The files of a batch. Raises UserError for a file that cannot be read or has another size."""
        images = torch.zeros(len(batch.facts), 3, self.size_px, self.size_px, dtype=torch.uint8)
        present = torch.zeros(len(batch.facts), dtype=torch.bool)
        for number, facts in enumerate(batch.facts):
            if (path := self.files.get(facts.key)) is not None:
                images[number], present[number] = self._read(path), True
        return Outputs(images, present)

    def _read(self, path: Path) -> Tensor:
        photo = read_output(path)
        if photo.alpha is not None:
            self.transparent.add(path)
        wanted = {self.size_px, self.side_px}
        if photo.height != photo.width or photo.width not in wanted:
            sizes = " or ".join(f"{side}x{side}" for side in sorted(wanted))
            raise UserError(
                f"{path} is {photo.width}x{photo.height} px, where {sizes} px is wanted: sizes are never changed "
                "silently, so save the outputs at the size of the set's faces"
            )
        pixels = photo.pixels
        if photo.width != self.size_px:  # by the filter that reduces the set's own faces
            small = Image.fromarray(pixels).resize((self.size_px, self.size_px), Image.Resampling.BOX)
            pixels = np.array(small)
        return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def open_folder(name: str, folder: Path, keys: Mapping[str, str], side_px: int, size_px: int) -> FolderMethod:
    """The outputs in a folder. keys: of the samples, by the name after which their outputs are named.

    Raises UserError if no file belongs to a sample, or two to one.
    """
    within = sorted({str(PurePosixPath(name).parent) for name in keys})
    files, extra = files_by_key([path for part in within for path in photos_in(folder / part)], keys, folder)
    if not files:
        example = next(iter(keys), "KEY")
        raise UserError(
            f"no file in {folder} is named after a sample: an output is named as its sample's key, such as "
            f"{example}.png, or with more after a dot, an underscore or a space, such as {example}_00.png; if it is "
            "named otherwise, add --names FILE.csv with the columns key and file"
        )
    missing = [key for key in keys.values() if key not in files]
    return FolderMethod(name, folder, files, extra, missing, side_px, size_px)


def photos_in(folder: Path) -> list[Path]:
    """The photos of a folder, by their endings, sorted by name. Raises UserError if there are none."""
    try:
        found = sorted(
            path
            for path in folder.iterdir()
            if not path.name.startswith(".") and has_photo_extension(path.name) and path.is_file()
        )
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}") from None
    if not found:
        raise UserError(f"there are no pictures in {folder}: give the folder that holds the outputs")
    return found


def files_by_key(
    files: Sequence[Path], keys: Mapping[str, str], folder: Path
) -> tuple[dict[str, Path], list[Path]]:
    """The file of each key that has one, and the files of no key.

    keys: by name, which is relative to the folder. A file belongs to a key if its name is that name, or that name and
    then a dot, an underscore or a space and anything. Raises UserError if two files belong to one key.
    """
    found: dict[str, Path] = {}
    extra = []
    for path in files:
        name = _longest(path.relative_to(folder).as_posix(), keys)
        if name is None:
            extra.append(path)
            continue
        key = keys[name]
        if key in found:
            raise UserError(
                f"{found[key]} and {path} are both named after the sample {key}: keep one output of each sample"
            )
        found[key] = path
    return found, extra


def _longest(file: str, names: Mapping[str, str]) -> str | None:
    """The longest of the names with which a file's name begins."""
    ends = [match.start() for match in _SEPARATORS.finditer(file)]
    return next((file[:end] for end in reversed(ends) if file[:end] in names), None)


def read_output(path: Path) -> DecodedPhoto:
    """The pixels of an output. Raises UserError."""
    try:
        return decode(path.read_bytes(), _LIMITS)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except DecodeError as error:
        raise UserError(f"cannot read {path}: {error}") from None


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(str(text.shown(name)) for name in names[:_SHOWN])
    return f"{shown}, ..." if len(names) > _SHOWN else shown
