"""Restore one photo after the other from files, and write what was made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.files import RestoreFiles
from facerefs.pipeline.restoring.frames import Tracks
from facerefs.pipeline.restoring.matching.people import People
from facerefs.pipeline.restoring.options import RestoreOptions
from facerefs.pipeline.restoring.pasting.own_colours import with_patches
from facerefs.pipeline.restoring.photo import Photo, read_photo, read_with_original
from facerefs.pipeline.restoring.result import RestoredPhoto
from facerefs.pipeline.restoring.whole import PhotoRestorer, RestoredFace, pasted
from facerefs.pipeline.restoring.writing.output_file import holds_alpha, write_face, write_image, write_photo
from facerefs.pipeline.restoring.writing.records import record_of
from facerefs.pipeline.restoring.writing.sheet import comparison_sheet
from facerefs.schemas.arrays import UInt8Image

if TYPE_CHECKING:
    from facerefs.stages.images.original import OriginalPhoto

_FAILED = "failed"


@dataclass(frozen=True, eq=False)
class PhotoWriter:
    """reserved: files that crops of faces must not replace: photos, references and planned outputs."""

    restorer: PhotoRestorer
    people: People
    options: RestoreOptions
    reserved: frozenset[Path]
    tracks: Tracks = field(default_factory=Tracks)

    def restore(self, files: RestoreFiles) -> RestoredPhoto:
        """Write a restored photo, or a restored face if the photo is an aligned one. Raises UserError, RunError."""
        return self._restore_aligned(files) if self.options.aligned else self._restore_whole(files)

    def _restore_whole(self, files: RestoreFiles) -> RestoredPhoto:
        photo, original = read_with_original(files.photo)
        faces, warnings = self._faces(photo)
        if faces and all(face.left for face in faces) and any(face.left_kind == _FAILED for face in faces):
            raise UserError(
                f"{files.photo}: {next(face.left for face in faces if face.left_kind == _FAILED)}"
            )
        if not any(face.restored for face in faces):
            warnings = [*warnings, "no face was restored: it is written as it is"]
        lost = self._write_outputs(files, original, faces)
        made = [*files.outputs, *self._write_extras(files, photo, faces)]
        said = [f"face {face.number}: {text}" for face in faces for text in face.warnings]
        return RestoredPhoto(
            files.photo,
            tuple(made),
            tuple(record_of(files.photo, face, files.outputs) for face in faces),
            (*warnings, *said, *lost),
            _notes(photo, original),
        )

    def _faces(self, photo: Photo) -> tuple[tuple[RestoredFace, ...], list[str]]:
        """The faces of a photo, restored, and how they were found."""
        choice, frames = self.options.choice, self.options.frames
        try:
            found = self.restorer.engines.faces_of(photo, "; if it is an aligned face, add --aligned")
        except UserError as error:
            if frames:
                return (), [str(error)]
            raise
        boxes = [found.box(number) for number in range(len(found))]
        known = self.tracks.known(boxes) if frames else {}
        faces = self.restorer.restore_faces(photo, found, self.people, choice, known)
        self.tracks.add(faces)
        return faces, list(found.warnings)

    def _write_outputs(
        self, files: RestoreFiles, original: "OriginalPhoto", faces: Sequence[RestoredFace]
    ) -> list[str]:
        lost: list[str] = []
        for number, path in enumerate(files.outputs):
            patches = [face.patches[number] for face in reversed(faces) if face.patches]
            restored = with_patches(original, patches, self.options.strength)
            lost = write_photo(restored, path, self.options.quality)
        return lost

    def _write_extras(self, files: RestoreFiles, photo: Photo, faces: Sequence[RestoredFace]) -> list[Path]:
        """Write the sheet, the model's pictures and the crops that were asked for."""
        made = []
        if files.sheet is not None:
            outputs = pasted(photo.pixels, faces, self.options.choice)
            write_image(comparison_sheet(photo.pixels, outputs, faces), files.sheet)
            made.append(files.sheet)
        if files.pictures is not None and _write_pictures(faces, files.pictures):
            made.append(files.pictures)
        if self.options.crops:
            for face in faces:
                for number, crop in enumerate(face.restored, 1):
                    path = files.crop(face.number, number)
                    if path.resolve() in self.reserved:
                        raise UserError(f"{path} is another photo's, and would be overwritten by --crops")
                    write_face(crop, None, path)
                    made.append(path)
        return made

    def _restore_aligned(self, files: RestoreFiles) -> RestoredPhoto:
        photo = read_photo(files.photo)
        faces = self.restorer.engines.aligned_face(photo)
        (face,) = self.restorer.restore_faces(photo, faces, self.people, self.options.choice)
        if face.left or face.before is None:
            raise UserError(f"{files.photo}: {face.left}")
        alpha = faces.aligned_alpha(
            0, face.before.shape[0] if not face.restored else face.restored[0].shape[0]
        )
        for output, path in zip(face.restored, files.outputs, strict=True):
            write_face(self._blended(face, output), alpha, path, self.options.quality)
        if files.pictures is not None:
            _write_pictures([face], files.pictures)
        warnings = [*faces.warnings, *face.warnings]
        if alpha is not None and not holds_alpha(files.outputs[0]):
            warnings.append("its transparency is lost, since JPEG holds none: what was transparent is white")
        return RestoredPhoto(
            files.photo,
            files.made,
            (record_of(files.photo, face, files.outputs),),
            tuple(warnings),
            _notes(photo, None),
        )

    def _blended(self, face: RestoredFace, output: UInt8Image) -> UInt8Image:
        from PIL import Image

        if self.options.strength == 1 or face.before is None:
            return output
        before = Image.fromarray(face.before).resize(
            (output.shape[1], output.shape[0]), Image.Resampling.BICUBIC
        )
        share = self.options.strength
        return np.rint(np.asarray(before) * (1 - share) + output * share).astype(np.uint8)


def _write_pictures(faces: Sequence[RestoredFace], path: Path) -> bool:
    """Write the model's work on each face, one below the other; nothing if no face was restored."""
    from PIL import Image

    pictures = [face.pictures for face in faces if face.pictures is not None]
    if not pictures:
        return False
    sheet = Image.new(
        "RGB", (max(one.width for one in pictures), sum(one.height for one in pictures)), "white"
    )
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    write_image(sheet, path)
    return True


def _notes(photo: Photo, original: "OriginalPhoto | None") -> tuple[str, ...]:
    """What becomes of the photo's colour profile and bits."""
    notes = []
    if photo.profile and (original is None or original.profile is None):
        notes.append(f"its colours were converted from the profile {photo.profile} to sRGB")
    elif photo.profile:
        notes.append(f"it keeps its colour profile {photo.profile}; the faces were restored in sRGB")
    if photo.bits > 8:
        deep = original is not None and original.pixels.dtype == np.uint16
        notes.append(
            f"its {photo.bits} bits per channel are kept outside of faces, which have 8"
            if deep
            else f"of {photo.bits} bits per channel 8 are used"
        )
    return tuple(notes)
