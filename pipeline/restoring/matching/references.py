"""The faces of reference photos, and which of them helps a degraded face most."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facerefs.pipeline.restoring.photo import Photo
from facerefs.schemas.arrays import Float32s, Float64s

if TYPE_CHECKING:
    from facerefs.pipeline.restoring.find_faces import Engines, PhotoFaces
    from facerefs.trainers.restore import AlignedFace

CROP_PX = 512
"""Side at which faces are compared."""
TELLING_SHARPNESS = 4.0
"""Below it an embedder hardly tells. Of faces reduced to so many of 512 px, so many have less than `same` to a photo of
the same person (dlib and ArcFace, 30 photos of 5 people): 128 px (sharpness 3 to 7) 0 and 2 %, 96 (2 to 5) 3 %, 64
(2 to 3) 7 and 11 %, 48 29 %, 32 77 and 89 %; to photos of others always at least 99.5 %. Noise hides blur from it."""


@dataclass(frozen=True, eq=False)
class ComparedFace:
    """A face as it is compared with others.

    aligned: at its full or CROP_PX side. embedding: (D,), unit length. width_px: of the square in the photo.
    hashes: of the crop and of its mirror image.
    """

    path: Path
    digest: bytes  # of the photo's pixels
    aligned: "AlignedFace"
    embedding: Float32s
    width_px: float
    sharpness: float
    hashes: tuple[int, int]

    @property
    def landmarks(self) -> Float32s:
        """(68, 2) as a share of the square's side."""
        return np.asarray(self.aligned.landmarks / self.aligned.image.shape[0], np.float32)


def compared_faces(faces: "PhotoFaces", numbers: Sequence[int], side_px: int = CROP_PX) -> list[ComparedFace]:
    """Some of the faces of a photo, `side_px` wide. Raises UserError if the landmarks of one span no face."""
    from facerefs.stages.images.hashing import perceptual_hashes
    from facerefs.stages.quality.quality import sharpness

    digest = digest_of(faces.photo)
    compared = []
    for number in numbers:
        aligned = faces.aligned(number, side_px)
        compared.append(
            ComparedFace(
                faces.photo.path,
                digest,
                aligned,
                faces.embeddings[number],
                faces.width_px(number),
                sharpness(aligned.image),
                perceptual_hashes(aligned.image),
            )
        )
    return compared


def digest_of(photo: Photo) -> bytes:
    """A digest of the photo's pixels, the same in every file format that loses none."""
    return hashlib.blake2b(photo.pixels.tobytes(), digest_size=16).digest()


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference photo. faces: one, or several if nothing says which of them is the person."""

    faces: tuple[ComparedFace, ...]

    @property
    def path(self) -> Path:
        """The photo."""
        return self.faces[0].path

    def likeness(self, embeddings: Float32s) -> Float64s:
        """The cosine (N,) of each face to this one; to the most like it if there are several."""
        own = np.stack([face.embedding for face in self.faces]).astype(np.float64)
        cosines: Float64s = (embeddings.astype(np.float64) @ own.T).max(axis=1)
        return cosines

    def nearest(self, embedding: Float32s) -> ComparedFace:
        """The face most like another one."""
        return max(self.faces, key=lambda face: float(face.embedding @ embedding))


def read_reference(photo: Photo, engines: "Engines", side_px: int) -> Reference:
    """All faces of a reference photo. Raises UserError if there is none."""
    faces = engines.faces_of(photo)
    return Reference(tuple(compared_faces(faces, range(len(faces)), side_px)))


@dataclass(frozen=True, eq=False)
class ChosenReference:
    """A reference of a face, and what speaks against it, with its figures."""

    face: ComparedFace
    similarity: float
    landmark_distance: float
    against: tuple[str, ...]


def choose_references(
    target: ComparedFace,
    references: Sequence[Reference],
    wanted: int,
    size_px: int,
    embedder: str,
    first: Path | None = None,
) -> list[ChosenReference]:
    """The best `wanted` references of a face; fewer if there are fewer.

    Those with nothing against them come first (another shot, a face at least half as wide as the model's, sharp); of
    equals the one whose landmarks lie nearest, as in the stage `select`. first: the photo that
    other frames of a video took, which comes before all.
    """
    judged = [
        _judged(target, reference.nearest(target.embedding), size_px, embedder) for reference in references
    ]
    return sorted(judged, key=lambda one: (one.face.path != first, len(one.against), one.landmark_distance))[
        :wanted
    ]


def _judged(target: ComparedFace, face: ComparedFace, size_px: int, embedder: str) -> ChosenReference:
    from facerefs.stages.copies.copy_rule import COPY, CopyRule
    from facerefs.stages.copies.face_features import landmark_distance

    similarity = float(target.embedding @ face.embedding)
    distance = float(landmark_distance(target.landmarks, face.landmarks))
    bits = _bits_apart(target, face)
    rule = CopyRule().calibrated(embedder)
    kind = rule.kinds(np.array([similarity], np.float32), np.array([bits]), np.array([distance], np.float32))
    against = []
    if face.digest == target.digest:
        against.append(f"reference {face.path} is the photo itself: it can add nothing, give another one")
    elif kind[0] == COPY:
        against.append(
            f"reference {face.path} seems to be a copy of this photo (similarity {similarity:.3f}, hashes {bits} bits "
            f"and landmarks {distance:.4f} apart): it may add little"
        )
    if face.width_px < size_px / 2:
        against.append(
            f"reference {face.path} is small: its face square is {face.width_px:.0f} px wide, the model's {size_px}"
        )
    if face.sharpness < TELLING_SHARPNESS:
        against.append(
            f"reference {face.path} is blurred (sharpness {face.sharpness:.1f}, a sharp one has 40)"
        )
    return ChosenReference(face, similarity, distance, tuple(against))


def _bits_apart(one: ComparedFace, other: ComparedFace) -> int:
    return min(
        (one.hashes[0] ^ other.hashes[0]).bit_count(),
        (one.hashes[1] ^ other.hashes[0]).bit_count(),
        (one.hashes[0] ^ other.hashes[1]).bit_count(),
    )
