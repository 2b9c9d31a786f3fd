"""Find, align and measure the faces of each photo."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, groupby
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from annotated_types import Ge, Le

from facerefs.schemas.arrays import Float32s, UInt8Image
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import FACES, loaded
from facerefs.stages.copies.same_faces import same_faces
from facerefs.stages.engines.align import Alignment, align, detect_close, kept, most_in_place
from facerefs.stages.engines.engine import Detection, Detector, Embedder, FaceParser, Landmarker
from facerefs.stages.engines.load import (
    DetectorEngine,
    EmbedderEngine,
    LandmarkEngine,
    ParserEngine,
    load_detector,
    load_embedder,
    load_landmarker,
    load_parsers,
)
from facerefs.stages.faces import geometry
from facerefs.stages.images.decode import DecodedPhoto, DecodeError, DecodeLimits, decode
from facerefs.stages.images.encode import encode_mask
from facerefs.stages.images.hashing import perceptual_hashes
from facerefs.stages.quality import quality

Row = dict[str, Any]

# No limits here: the crawl has checked the same bytes (same SHA-256) against its own limits.
_ADMITTED = DecodeLimits(max_bytes=2**40, max_pixels=178_956_970, min_side_px=1)


@dataclass(frozen=True)
class _Models:
    detector: Detector
    landmarker: Landmarker
    embedder: Embedder
    parsers: tuple[FaceParser, ...]


@dataclass(frozen=True)
class Analyse:
    """Find, align and measure faces: at least one row per photo. A limit of null sets no limit.

    With `align: keep` a photo is one face, the one in the place of FFHQ's alignment, and its crop has the pixels of the
    file. A photo of another size or shape, one whose landmarks lie elsewhere, and one whose pixels would be converted
    (16 bits, transparency, another colour profile than sRGB) is rejected. A crop of ground truth is lossless in shards
    only with `shard.image_format` png or webp.
    """

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "images": ("key", "id", "photo", "reject"),
        "duplicates": ("key", "id", "group", "certain", "reject"),
    }
    writes: ClassVar[str] = "faces"
    loads: ClassVar[tuple[str, ...]] = ("photo",)
    version: ClassVar[int] = 5
    cpus: ClassVar[float] = 1.0

    detector: DetectorEngine = "dlib"
    """Engine that finds faces: dlib's HOG detector, or SCRFD of insightface."""
    landmarks: LandmarkEngine = "dlib"
    """Engine that finds the 68 landmarks of a face: dlib, or FAN of face-alignment."""
    embedder: EmbedderEngine = "dlib"
    """Engine that computes face embeddings: dlib's ResNet, or ArcFace of insightface."""
    parser: ParserEngine = "none"
    """Engine that makes a mask of each accepted face: BiSeNet (and the hull of the landmarks where it finds no face) or
    that hull alone; `none` makes none."""
    detector_weights: str | None = None
    """Weights of the detector: a file, a folder or the name of a model pack; null: the engine's default."""
    landmarks_weights: str | None = None
    """Weights of the landmark engine: a file or a folder; null: the engine's default."""
    embedder_weights: str | None = None
    """Weights of the embedder: a file, a folder or the name of a model pack; null: the engine's default."""
    parser_weights: str | None = None
    """Weights of BiSeNet: a file; null: the published one in torch's cache."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device of the engines of insightface and face-alignment, and of BiSeNet; dlib always runs on the CPU."""

    detect_side_px: Annotated[int, Ge(64)] | None = None
    """Longer side in pixels to which a photo is reduced for face detection; null: as large as faces of
    `min_face_px` need, at most 1280 (dlib) or 640."""
    upsample: Annotated[int, Ge(0), Le(3)] = 0
    """How many times dlib doubles the size of a photo, to find faces smaller than 80 pixels."""
    max_faces: Annotated[int, Ge(1)] = 8
    """Maximum number of faces per photo; the largest are kept."""
    crop_size: Literal[512, 1024] = 512
    """Side length of the aligned crops in pixels."""

    align: Literal["ffhq", "keep", "reduce"] = "ffhq"
    """How a photo becomes a crop: `ffhq` warps each face to FFHQ's alignment; `keep` takes photos that are aligned so
    already as they are, of `crop_size` pixels a side; `reduce` does, too, and reduces those of a whole multiple of it
    by the means of blocks of pixels."""
    max_misaligned: Annotated[float, Ge(0)] = 0.1
    """How far the corners of a kept photo may lie, on average, from where its landmarks would align them, as a share of
    its side: a scale wrong by 14 % or a turn of 8 degrees."""

    min_face_px: Annotated[float, Ge(0)] = 256.0
    """Minimum side length in pixels of the face's FFHQ square in the photo; smaller faces are rejected."""
    max_outside: Annotated[float, Ge(0), Le(1)] = 0.3
    """Maximum share of the aligned crop that may lie outside the photo."""
    max_yaw_deg: Annotated[float, Ge(0)] | None = None
    """Maximum yaw of the head to either side in degrees; null sets no limit."""
    min_sharpness: Annotated[float, Ge(0)] | None = 15.0
    """Minimum sharpness of a face (variance of the Laplacian): sharp photos have 40 or more; null sets no limit."""
    max_niqe: Annotated[float, Ge(0)] | None = None
    """Maximum NIQE of a face (lower is better; sharp faces have 3 to 5); null sets no limit."""
    niqe: bool = True
    """Whether NIQE is measured."""
    max_brisque: float | None = None
    """Maximum BRISQUE of a face (lower is better; sharp photos can be below 0); null sets no limit."""
    brisque: bool = False
    """Whether BRISQUE is measured, with the trained model of the package `brisque`."""

    def __post_init__(self) -> None:
        if self.max_niqe is not None and not self.niqe:
            raise ValueError("max_niqe needs niqe: true")
        if self.max_brisque is not None and not self.brisque:
            raise ValueError("max_brisque needs brisque: true")
        if self.detector == "dlib" and self.detector_weights is not None:
            raise ValueError(
                "detector_weights are of the detector insightface: dlib's HOG has none to choose"
            )
        if self.parser != "bisenet" and self.parser_weights is not None:
            raise ValueError(f"parser_weights are of the parser bisenet: {self.parser} has none to choose")

    @property
    def gpus(self) -> float:
        """GPUs that one worker takes."""
        engines = (self.detector, self.landmarks, self.embedder)
        on_gpu = self.parser == "bisenet" or any(engine != "dlib" for engine in engines)
        return 1.0 if self.device == "cuda" and on_gpu else 0.0

    def setup(self) -> None:
        """Load the engines. Raises MissingWeights, and BasicsrMissingError if `niqe` needs basicsr."""
        import cv2

        cv2.setNumThreads(1)  # a worker has one core
        _ = self._models
        grey = np.full((8, 8, 3), 128, dtype=np.uint8)
        if self.niqe:
            quality.niqe(grey)
        if self.brisque:
            quality.brisque(grey)

    def process(self, rows: pa.Table) -> pa.Table:
        """Rows of `FACES` with crops and masks as PNG bytes. rows: photos with key, id and `photo` as bytes.

        With a column `group`, rows of one group follow each other: a photo, whose id is `group`, and its near copies,
        best first. A copy has rows only if it comes back: if no face of the group was accepted before and one of its
        own is, or if it is not `certain` and shows other faces than the photos before it.
        """
        photos = rows.to_pylist()
        groups = [list(group) for _, group in groupby(photos, key=lambda row: row.get("group", row["key"]))]
        faces = [list(self._faces(kept)) for kept, *_ in groups]
        self._embed([face for of_photo in faces for face in of_photo])
        for of_group, (_, *copies) in zip(faces, groups, strict=True):
            for copy in copies:
                of_group.extend(self._faces_that_come_back(copy, of_group))
        return pa.Table.from_pylist(list(chain.from_iterable(faces)), schema=loaded(FACES))

    def _faces_that_come_back(self, copy: Row, before: list[Row]) -> list[Row]:
        """The rows of a near copy, or none if it stays a copy of the photos that have the faces `before`."""
        if copy["certain"] and any_accepted(before):
            return []
        faces = list(self._faces(copy))
        self._embed(faces)
        return faces if comes_back(faces, before, copy["certain"]) else []

    @cached_property
    def _models(self) -> _Models:
        return _Models(
            load_detector(
                self.detector,
                self.detector_weights,
                self.device,
                self.detect_side_px,
                self.upsample,
                self.min_face_px,
            ),
            load_landmarker(self.landmarks, self.landmarks_weights, self.device),
            load_embedder(self.embedder, self.embedder_weights, self.device),
            load_parsers(self.parser, self.parser_weights, self.device),
        )

    def _faces(self, photo: Row) -> Iterator[Row]:
        stem = (photo["id"] or hashlib.sha256(photo["key"].encode()).hexdigest())[:16]
        common = {"image": photo["id"], "key": photo["key"]}
        try:
            decoded = _decoded(photo)
        except DecodeError as error:
            yield common | {"id": f"{stem}-none"} | _rejected(error.reject, error.detail)
            return
        if self.align != "ffhq" and (why := self._why_not_kept(decoded)):
            yield common | {"id": f"{stem}-none"} | _rejected(Reject.NOT_ALIGNED, why)
            return
        pixels = decoded.pixels
        common["detector"] = self._models.detector.name
        detect = self._models.detector.detect if self.align == "ffhq" else self._detect_close
        found = detect(pixels)
        if not found:
            yield common | {"id": f"{stem}-none"} | _rejected(Reject.NO_FACE, f"by {common['detector']}")
            return
        in_place = None if self.align == "ffhq" else most_in_place(found, decoded.width)
        for number, detection in enumerate(found):
            face = common | {"id": f"{stem}-{number}", "box": detection.box, "score": detection.score}
            if in_place not in (None, number):
                why = "another face of the photo is the one in the place of FFHQ's alignment"
                yield face | _rejected(Reject.NOT_ALIGNED, why)
            elif in_place == number or number < self.max_faces:
                yield face | self._face(pixels, detection)
            else:
                why = f"smaller than the {self.max_faces} largest faces of the photo"
                yield face | _rejected(Reject.TOO_MANY_FACES, why)

    def _detect_close(self, pixels: UInt8Image) -> list[Detection]:
        return detect_close(pixels, self._models.detector)

    def _why_not_kept(self, photo: DecodedPhoto) -> str:
        """Why a photo cannot be a crop as it is, before its face is looked at; empty if it can."""
        size = f"{photo.width} x {photo.height} px, not {self.crop_size} x {self.crop_size}"
        if photo.width != photo.height or photo.width % self.crop_size:
            return size
        if self.align == "keep" and photo.width != self.crop_size:
            return f"{size}: analyse.align=reduce would reduce it"
        if photo.bits > 8:
            return f"its {photo.bits} bits a channel would be rounded to 8"
        if photo.alpha is not None:
            return "it is transparent in places"
        return f"its colours would be converted from the profile {photo.profile!r}" if photo.profile else ""

    def _aligned(self, pixels: UInt8Image, detection: Detection) -> tuple[Alignment, Row]:
        """The face in its crop, and the rejection of a kept photo that is not aligned, else an empty row."""
        if self.align == "ffhq":
            return align(pixels, detection, self._models.landmarker, self.crop_size), {}
        aligned, apart = kept(pixels, detection, self._models.landmarker, self.crop_size, self.max_misaligned)
        if apart <= self.max_misaligned:
            return aligned, {}
        why = f"its landmarks would move the corners by {apart:.0%} of the side, at most {self.max_misaligned:.0%}"
        return aligned, _rejected(Reject.NOT_ALIGNED, why)

    def _face(self, pixels: UInt8Image, detection: Detection) -> Row:
        """All measurements of one face, and the first limit that it exceeds, if any."""
        try:
            aligned, fault = self._aligned(pixels, detection)
        except ValueError as error:
            return _rejected(Reject.NO_FACE, str(error))
        if fault:
            return fault
        crop, pose = aligned.crop, geometry.pose(aligned.points)
        phash, phash_mirror = perceptual_hashes(crop.pixels)
        face: Row = {
            "landmarks": aligned.landmarks.ravel(),
            "transform": aligned.transform.ravel(),
            "crop": _png(crop.pixels),
            "crop_size": self.crop_size,
            "outside": crop.outside,
            "chip": self._models.embedder.chip(pixels, aligned.points),
            "yaw": pose.yaw,
            "pitch": pose.pitch,
            "roll": pose.roll,
            "face_px": self.crop_size / geometry.scale_of(aligned.transform),
            "sharpness": quality.sharpness(crop.pixels),
            "niqe": quality.niqe(crop.pixels) if self.niqe else None,
            "brisque": quality.brisque(crop.pixels) if self.brisque else None,
            "crop_phash": phash,
            "crop_phash_mirror": phash_mirror,
            "landmarker": self._models.landmarker.name,
            "embedder": self._models.embedder.name,
        }
        face |= self._verdict(face)
        return face if "reject" in face else face | self._mask(crop.pixels, aligned.landmarks)

    def _mask(self, crop: UInt8Image, landmarks: Float32s) -> Row:
        """The mask of an accepted face as PNG, by the first engine that finds the face, and its name."""
        for parser in self._models.parsers:
            if (mask := parser.mask(crop, landmarks)) is not None:
                return {"mask": encode_mask(mask), "parser": parser.name}
        return {}

    def _embed(self, faces: list[Row]) -> None:
        """Replace the chip of each measured face by its embedding, in one batch."""
        faces = [face for face in faces if "chip" in face]
        if faces:
            vectors = self._models.embedder.embed_chips([face.pop("chip") for face in faces])
            for face, vector in zip(faces, vectors, strict=True):
                face["embedding"] = vector

    def _verdict(self, face: Row) -> Row:
        if face["face_px"] < self.min_face_px:
            return _rejected(
                Reject.FACE_TOO_SMALL, f"{face['face_px']:.0f} px, at least {self.min_face_px:g}"
            )
        if face["outside"] > self.max_outside:
            return _rejected(
                Reject.FACE_CUT, f"{face['outside']:.0%} outside, at most {self.max_outside:.0%}"
            )
        if self.max_yaw_deg is not None and abs(face["yaw"]) > self.max_yaw_deg:
            return _rejected(
                Reject.FACE_TURNED, f"yaw {face['yaw']:.0f} degrees, at most {self.max_yaw_deg:g}"
            )
        if self.min_sharpness is not None and face["sharpness"] < self.min_sharpness:
            return _rejected(Reject.FACE_BLURRED, f"{face['sharpness']:.1f}, at least {self.min_sharpness:g}")
        for name, limit in (("niqe", self.max_niqe), ("brisque", self.max_brisque)):
            value = face[name]
            if limit is not None and (value is None or value > limit):
                said = "undefined" if value is None else f"{value:.2f}"
                return _rejected(Reject.LOW_QUALITY, f"{name.upper()} {said}, at most {limit:g}")
        return {}


def any_accepted(faces: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of these rows of `FACES` is not rejected."""
    return any(face.get("reject") is None for face in faces)


def comes_back(
    faces: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]], certain: bool
) -> bool:
    """Whether a near copy comes back: it has the rows `faces`, and the photos of its group before it `before`."""
    if not certain and not same_faces(faces, before):
        return True
    return any_accepted(faces) and not any_accepted(before)


def _decoded(photo: Row) -> DecodedPhoto:
    data = photo["photo"]
    if data is None or photo["id"] is None:
        raise DecodeError(Reject.UNREADABLE, "its bytes could not be had")
    if hashlib.sha256(data).hexdigest() != photo["id"]:
        raise DecodeError(Reject.CHANGED, "the SHA-256 of its bytes is no longer its id")
    return decode(data, _ADMITTED)


def _rejected(reject: Reject, detail: str) -> Row:
    return {"reject": str(reject), "reject_detail": detail}


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A PNG with one filter for all rows and run-length coding: twice as fast as Pillow's level 1, as small."""
    import cv2

    how = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
    how += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_COMPRESSION, 1]
    _, file = cv2.imencode(".png", pixels[..., ::-1], how)  # OpenCV expects BGR
    return bytes(file.tobytes())
