"""Restore the faces of a photo and paste them back: pixels and references in memory in, pixels out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.restoring.matching.people import (
    NO_REFERENCE,
    People,
    Person,
    WhoIsIt,
    read_people,
    who_is_who,
)
from facerefs.pipeline.restoring.matching.references import (
    CROP_PX,
    ChosenReference,
    ComparedFace,
    choose_references,
    compared_faces,
)
from facerefs.pipeline.restoring.pasting.paste import Patch, blend, patch_of
from facerefs.pipeline.restoring.photo import Photo
from facerefs.schemas.arrays import UInt8Image

if TYPE_CHECKING:
    from PIL.Image import Image

    from facerefs.pipeline.restoring.find_faces import Engines, PhotoFaces
    from facerefs.pipeline.restoring.loaded_run import LoadedRun
    from facerefs.stages.engines.calibration import Calibration

_ENLARGED = 1.5  # a face larger than the model's by this factor loses detail that the photo had
_NOT_ASKED = "not asked for"
_FAILED = "failed"
Faces = Literal["all", "largest"] | int


@dataclass(frozen=True)
class FaceChoice:
    """Which faces of a photo are restored, and how.

    faces: all, the largest, or the number of one, 1 for the largest. person: the name of whom one of the faces shows,
    whatever its similarity. strength: 0 leaves the photo as it is, 1 takes the restored face. outputs: versions of a
    stochastic model. grain: the restored face gets as much as the photo has. pictures: also the model's intermediate
    images.
    """

    faces: Faces = "all"
    person: str | None = None
    strength: float = 1.0
    outputs: int = 1
    seed: int = 0
    grain: bool = True
    pictures: bool = False


@dataclass(frozen=True)
class KnownFace:
    """Whose face it was in another frame of a video, and the reference that was taken."""

    person: str
    reference: Path | None


@dataclass(frozen=True, eq=False)
class RestoredFace:
    """What happened to a face of a photo.

    number: from 1, the largest first. box: left, top, right, bottom in the photo; None for an aligned face. person and
    similarity: whose face it is, by the mean cosine to the references; similarity alone: to the most like person.
    reference: the photo that the model was given first. model: which restored it. left: why it was not restored;
    left_kind: the same in few words. grain: the noise that was added to match the photo, in levels of 255. before,
    reference_crop, restored: aligned faces uint8 (S, S, 3); restored has one per output.
    """

    number: int
    box: tuple[float, float, float, float] | None
    person: str | None = None
    similarity: float | None = None
    reference: Path | None = None
    reference_similarity: float | None = None
    model: str | None = None
    left: str | None = None
    left_kind: str | None = None
    strength: float = 1.0
    grain: float = 0.0
    before: UInt8Image | None = None
    reference_crop: UInt8Image | None = None
    restored: tuple[UInt8Image, ...] = ()
    warnings: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()
    pictures: "Image | None" = None


@dataclass(frozen=True, eq=False)
class WholePhoto:
    """A restored photo. photos: uint8 (H, W, 3) sRGB, one per output. warnings: of how its faces were found."""

    photos: tuple[UInt8Image, ...]
    faces: tuple[RestoredFace, ...]
    warnings: tuple[str, ...] = ()


_NOBODY, _ALL = People(), FaceChoice()


@dataclass(frozen=True, eq=False)
class PhotoRestorer:
    """Engines and a trained model; blind: another model, for faces that have no reference."""

    engines: "Engines"
    run: "LoadedRun"
    blind: "LoadedRun | None" = None

    def people(self, photos: Mapping[str, Sequence[Photo | Path]]) -> People:
        """The people of reference photos by name. Raises UserError if somebody has no photo with a face."""
        return (
            read_people(photos, self.engines, self._same, max(CROP_PX, self.run.size_px))
            if photos
            else People()
        )

    def restore(self, photo: Photo, people: People = _NOBODY, choice: FaceChoice = _ALL) -> WholePhoto:
        """The photo with its faces restored; all pixels outside of them are the photo's.

        What fails for one face is said in its `left`. Raises UserError if no face is found, or `faces` or `person` is
        not there.
        """
        faces = self.engines.faces_of(photo, "; if it is an aligned face, add --aligned")
        made = self.restore_faces(photo, faces, people, choice)
        return WholePhoto(pasted(photo.pixels, made, choice), made, faces.warnings)

    def restore_faces(
        self,
        photo: Photo,
        faces: "PhotoFaces",
        people: People,
        choice: FaceChoice,
        known: Mapping[int, KnownFace] = MappingProxyType({}),
    ) -> tuple[RestoredFace, ...]:
        """What `restore` does to faces that were found already; patches are made for `photo`.

        known: whose faces are, by their numbers from 0, from other frames of a video.
        """
        chosen = _chosen(faces, choice)
        asked = None if choice.person is None else people.named(choice.person)
        compared: dict[int, ComparedFace] = {}
        left: dict[int, str] = {}
        if people.people:
            for number in chosen:
                try:
                    (compared[number],) = compared_faces(faces, [number])
                except UserError as error:
                    left[number] = str(error)
        pinned = {
            place: people.named(known[number].person)
            for place, number in enumerate(compared)
            if number in known
        }
        who: dict[int, WhoIsIt] = {}
        if compared:
            found = who_is_who(
                list(compared.values()), people.people, self._same, asked, pinned, self._least_blurred
            )
            who = dict(zip(compared, found, strict=True))
        made = []
        for number in range(len(faces)):
            box = faces.box(number) if faces.found else None
            if number not in chosen:
                made.append(
                    RestoredFace(
                        number + 1, box, left=f"not asked for: --faces {choice.faces}", left_kind=_NOT_ASKED
                    )
                )
                continue
            whose = who.get(number, WhoIsIt(why_none="it has no reference", kind=NO_REFERENCE))
            if number in left:
                made.append(RestoredFace(number + 1, box, left=left[number], left_kind=_FAILED))
                continue
            face = RestoredFace(
                number + 1,
                box,
                None if whose.person is None else whose.person.name,
                whose.similarity,
                strength=choice.strength,
            )
            first = known[number].reference if number in known else None
            try:
                made.append(self._restored(photo, faces, face, whose, compared.get(number), choice, first))
            except (UserError, ValueError) as error:
                made.append(replace(face, left=str(error), left_kind=_FAILED))
        return tuple(made)

    def _restored(
        self,
        photo: Photo,
        faces: "PhotoFaces",
        face: RestoredFace,
        whose: WhoIsIt,
        compared: ComparedFace | None,
        choice: FaceChoice,
        first: Path | None,
    ) -> RestoredFace:
        """The face, restored or left. Raises UserError, ValueError."""
        run, references, warnings = self.run, [], []
        if run.wanted:
            if whose.person is None or compared is None:
                if self.blind is None:
                    why = f"{whose.why_none}; a blind model (--blind RUN) would restore it"
                    return replace(face, left=why, left_kind=whose.kind)
                run = self.blind
                warnings = [f"restored by the blind {run.name}: {whose.why_none}"]
            else:
                references = self._references(compared, whose.person, run, first)
                warnings = [
                    *filter(None, [whose.doubt]),
                    *(text for one in references for text in one.against),
                ]
        elif whose.doubt:
            warnings = [whose.doubt]
        return self._made(photo, faces, replace(face, warnings=tuple(warnings)), run, references, choice)

    def _references(
        self, compared: ComparedFace, person: Person, run: "LoadedRun", first: Path | None
    ) -> list[ChosenReference]:
        own = person.references
        if len(own) < run.wanted:
            raise UserError(f"{run.name} takes {run.wanted} references, and {person.name} has {len(own)}")
        return choose_references(compared, own, run.wanted, run.size_px, self._embedder, first)

    def _made(
        self,
        photo: Photo,
        faces: "PhotoFaces",
        face: RestoredFace,
        run: "LoadedRun",
        references: Sequence[ChosenReference],
        choice: FaceChoice,
    ) -> RestoredFace:
        number = face.number - 1
        aligned = faces.aligned(number, run.size_px)
        outputs, pictures = run.restore(
            aligned, [one.face.aligned for one in references], choice.outputs, choice.seed, choice.pictures
        )
        warnings = list(face.warnings)
        patches: list[Patch] = []
        if faces.found:
            width_px = faces.width_px(number)
            if width_px > _ENLARGED * run.size_px:
                warnings.append(
                    f"it is larger than the model's faces ({width_px:.0f} px wide, the model's {run.size_px}): "
                    "detail that the photo had may be lost"
                )
            transform = faces.to_square(number, run.size_px)
            for index, output in enumerate(outputs):
                patch = patch_of(
                    photo.pixels, output, aligned.image, transform, aligned.landmarks, index, choice.grain
                )
                if patch is None:
                    raise UserError("it lies outside of the photo")
                patches.append(patch)
        first = references[0] if references else None
        return replace(
            face,
            model=run.name,
            reference=first.face.path if first else None,
            reference_similarity=first.similarity if first else None,
            reference_crop=first.face.aligned.image if first else None,
            before=aligned.image,
            restored=outputs,
            grain=patches[0].grain if patches else 0.0,
            warnings=tuple(warnings),
            patches=tuple(patches),
            pictures=pictures,
        )

    @property
    def _embedder(self) -> str:
        """The name of the embedder. Raises UserError if the engines were loaded without one."""
        if self.engines.embedder is None:
            raise UserError("people are told apart by an embedder, and none is loaded")
        return self.engines.embedder.name

    @property
    def _same(self) -> float:
        return self._calibration.same

    @property
    def _least_blurred(self) -> float:
        """The cosine that a blurred face needs in a photo of several: half a step to copies below `same` (choice).

        0.894 for dlib and 0.15 for ArcFace, where 99 % of two people's sharp photos have at most 0.911 and 0.28.
        """
        known = self._calibration
        return known.same - (known.copy - known.same) / 2

    @cached_property
    def _calibration(self) -> "Calibration":
        from facerefs.stages.engines.calibration import calibration_of

        return calibration_of(self._embedder)


def pasted(pixels: UInt8Image, faces: Sequence[RestoredFace], choice: FaceChoice) -> tuple[UInt8Image, ...]:
    """The photo (H, W, 3) with the patches of the faces, one per output."""
    photos = []
    for output in range(choice.outputs):
        photo = pixels.copy()
        for face in reversed(faces):  # a larger face is in front of a smaller one
            if face.patches:
                photo = blend(photo, face.patches[output], choice.strength)
        photos.append(photo)
    return tuple(photos)


def load_photo_restorer(
    run: Path,
    blind: Path | None = None,
    landmarks: Path | None = None,
    engines: str = "embedded",
    device: str | None = None,
    compare: bool = True,
) -> PhotoRestorer:
    """The engines and trained models for `PhotoRestorer.restore`.

    run, blind: folders of `facerefs train` runs. landmarks: a run that finds landmarks of degraded faces. compare: with
    the embedder that tells people apart. Raises UserError.
    """
    import torch

    from facerefs.pipeline.restoring.find_faces import load_engines
    from facerefs.pipeline.restoring.loaded_run import load_restorer
    from facerefs.pipeline.training.job import chosen_device
    from facerefs.stages.engines.engine import MissingWeights
    from facerefs.trainers.loop.checkpoint import CheckpointError

    where = torch.device(chosen_device(device))
    try:
        found = load_engines(engines, where.type, compare)
        name = found.landmarker.name
        loaded = load_restorer(run, landmarks, name, where)
        other = None if blind is None else load_restorer(blind, landmarks, name, where)
    except (CheckpointError, MissingWeights) as error:
        raise UserError(str(error)) from None
    if other is not None and other.wanted:
        raise UserError(f"--blind wants a run of a model without references, and {other.name} takes some")
    return PhotoRestorer(found, loaded, other)


def _chosen(faces: "PhotoFaces", choice: FaceChoice) -> list[int]:
    """The numbers of the faces to restore, from 0. Raises UserError."""
    if choice.faces == "all":
        return list(range(len(faces)))
    number = 1 if choice.faces == "largest" else int(choice.faces)
    if number > len(faces):
        shown = "one face" if len(faces) == 1 else f"{len(faces)} faces"
        raise UserError(f"{faces.photo.path} shows {shown}: there is no --faces {number}")
    return [number - 1]
