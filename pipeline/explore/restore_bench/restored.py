"""One restoration: photos in memory through `PhotoRestorer`, and what of it the page shows."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.explore.restore_bench.uploads import Restoring
from facerefs.pipeline.restoring.photo import Photo
from facerefs.pipeline.restoring.whole import FaceChoice, PhotoRestorer, RestoredFace, pasted
from facerefs.pipeline.text import plural
from facerefs.schemas.arrays import UInt8Image

if TYPE_CHECKING:
    from facerefs.pipeline.restoring.matching.people import People

VIEW_PX = 1600
_FACE_PX = 320
_VIEW_QUALITY = 92
_BLIND = "; a blind model (--blind RUN) would restore it"  # an option of the command, which the page lacks


@dataclass(frozen=True, eq=False)
class Restored:
    """A restored photo. notes: what was left out of the references, what the output lacks."""

    photo: Photo
    pixels: UInt8Image
    faces: tuple[RestoredFace, ...]
    notes: tuple[str, ...]


def restore(restorer: PhotoRestorer, asked: Restoring) -> Restored:
    """The restored photo. Raises UserError if a photo cannot be read, shows no face, or lacks references."""
    run, given = restorer.run, len(asked.references)
    if given < run.wanted:
        raise UserError(
            f"the model {run.name} takes {plural(run.wanted, 'reference')} of the person, and has {given}: "
            "add good photos of the same person"
        )
    photo = asked.photo.photo()
    people = restorer.people({asked.person: [one.photo() for one in asked.references]} if given else {})
    faces = restorer.engines.faces_of(photo)
    choice = FaceChoice(
        _faces(asked.faces, len(faces)),
        asked.person if asked.is_person and given else None,
        asked.strength,
    )
    made = restorer.restore_faces(photo, faces, people, choice)
    (pixels,) = pasted(photo.pixels, made, choice)
    return Restored(photo, pixels, made, (*faces.warnings, *_notes(photo, people, run.name, run.wanted)))


def _faces(text: str, count: int) -> Any:
    if text in ("all", "largest"):
        return text
    if int(text) > count:
        raise UserError(f"the photo shows {plural(count, 'face')}: there is no face {int(text)}")
    return int(text)


def _notes(photo: Photo, people: "People", model: str, wanted: int) -> list[str]:
    notes = [*people.notes]
    if len(people) and not wanted:
        notes.append(f"{model} restores without a reference: the references only say who is who")
    lost = {
        "transparency": photo.alpha is not None,
        f"colour profile ({photo.profile})": bool(photo.profile),
        f"{photo.bits} bits per channel": photo.bits > 8,
    }
    if any(lost.values()):
        what = " and ".join(name for name, is_so in lost.items() if is_so)
        notes.append(
            f"the download is sRGB with 8 bits, without the photo's {what}: `facerefs restore` keeps them"
        )
    return notes


def answer(made: Restored) -> dict[str, Any]:
    """The restored photo as plain values: pictures to look at, the table of faces, and the whole photo as PNG."""
    height, width = made.pixels.shape[:2]
    return {
        "width": width,
        "height": height,
        "before": _jpeg(made.photo.pixels, VIEW_PX),
        "after": _jpeg(made.pixels, VIEW_PX),
        "is_smaller": max(width, height) > VIEW_PX,
        "faces": [_face(face) for face in made.faces],
        "notes": list(made.notes),
        "file": f"{made.photo.path.stem}-restored.png",
        "png": base64.b64encode(_png(made.pixels)).decode(),
    }


def _face(face: RestoredFace) -> dict[str, Any]:
    left = face.left_kind if face.left_kind == "not asked for" else face.left
    return {
        "number": face.number,
        "box": None if face.box is None else [round(value) for value in face.box],
        "person": face.person,
        "similarity": face.similarity,
        "reference": None if face.reference is None else str(face.reference),
        "reference_similarity": face.reference_similarity,
        "left": None if left is None else left.replace(_BLIND, ""),
        "warnings": list(face.warnings),
        "before": _picture(face.before),
        "reference_crop": _picture(face.reference_crop),
        "restored": _picture(face.restored[0] if face.restored else None),
    }


def _picture(pixels: UInt8Image | None) -> str | None:
    return None if pixels is None else _jpeg(pixels, _FACE_PX)


def _jpeg(pixels: UInt8Image, side_px: int) -> str:
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_VIEW_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _png(pixels: UInt8Image) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def run_title(run: Path) -> str:
    """The name of a run in a list: its folder, and that above it."""
    return "/".join(run.absolute().parts[-2:])
