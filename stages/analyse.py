"""Finds the faces of each photo, aligns them, and measures all that the later stages choose by."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from annotated_types import Ge, Le

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import FACES, loaded
from facerefs.stages.engines.engine import Detection, Detector, Embedder, Landmarker
from facerefs.stages.engines.load import load_detector, load_embedder, load_landmarker
from facerefs.stages.faces import geometry
from facerefs.stages.faces.boxes import match_boxes
from facerefs.stages.images.decode import DecodeError, DecodeLimits, decode
from facerefs.stages.images.hashing import perceptual_hashes
from facerefs.stages.quality import quality

Row = dict[str, Any]

# The crawl has held the same bytes, by their SHA-256, against the limits of its configuration.
_ADMITTED = DecodeLimits(max_bytes=2**40, max_pixels=178_956_970, min_side_px=1)


@dataclass(frozen=True)
class _Models:
    detector: Detector
    landmarker: Landmarker
    embedder: Embedder


@dataclass(frozen=True)
class Analyse:
    """Photos in, faces out: at least one row per photo; a limit of None is no limit."""

    reads: ClassVar[str] = "images"
    writes: ClassVar[str] = "faces"
    loads: ClassVar[tuple[str, ...]] = ("photo",)
    version: ClassVar[int] = 3
    cpus: ClassVar[float] = 1.0

    detector: Literal["dlib", "insightface"] = "dlib"
    landmarks: Literal["dlib", "fan"] = "dlib"
    embedder: Literal["dlib", "insightface"] = "dlib"
    detector_weights: str | None = (
        None  # a file, a folder or the name of a pack; None is the engine's default
    )
    landmarks_weights: str | None = None
    embedder_weights: str | None = None
    device: Literal["cpu", "cuda"] = "cpu"  # of the insightface and fan engines

    detect_side_px: Annotated[int, Ge(64)] | None = (
        None  # larger photos are reduced to it; None: to what faces of min_face_px need, at most 1280 (dlib) or 640
    )
    upsample: Annotated[int, Ge(0), Le(3)] = 0  # times that dlib doubles the photo, to find faces below 80 px
    max_faces: Annotated[int, Ge(1)] = 8  # of a photo, the largest
    crop_size: Literal[512, 1024] = 512

    min_face_px: Annotated[float, Ge(0)] = 256.0  # side of the FFHQ square in the photo
    max_outside: Annotated[float, Ge(0), Le(1)] = 0.3  # share of the crop
    max_yaw_deg: Annotated[float, Ge(0)] | None = None
    min_sharpness: Annotated[float, Ge(0)] | None = 15.0  # sharp real photos have 40 or more
    max_niqe: Annotated[float, Ge(0)] | None = None
    niqe: bool = True
    max_brisque: float | None = None  # sharp photos go below 0
    brisque: bool = False  # wants the trained model of the package `brisque`

    def __post_init__(self) -> None:
        if self.max_niqe is not None and not self.niqe:
            raise ValueError("max_niqe needs niqe: true")
        if self.max_brisque is not None and not self.brisque:
            raise ValueError("max_brisque needs brisque: true")
        if self.detector == "dlib" and self.detector_weights is not None:
            raise ValueError(
                "detector_weights are of the detector insightface: dlib's HOG has none to choose"
            )

    @property
    def gpus(self) -> float:
        """GPUs that one worker takes."""
        engines = (self.detector, self.landmarks, self.embedder)
        return 1.0 if self.device == "cuda" and any(engine != "dlib" for engine in engines) else 0.0

    def setup(self) -> None:
        """Load the engines. Raises MissingWeights, and BasicsrMissingError where `niqe` needs basicsr."""
        import cv2

        cv2.setNumThreads(1)  # a worker has one core
        _ = self._models
        grey = np.full((8, 8, 3), 128, dtype=np.uint8)
        if self.niqe:
            quality.niqe(grey)
        if self.brisque:
            quality.brisque(grey)

    def process(self, rows: pa.Table) -> pa.Table:
        """Analyse photos (id, key, label, said, photo as bytes) -> `FACES` with the crops as PNG bytes.

        `said` is a list of struct (label, box), the photo's own label first: whom it shows and, unless box is
        null, where. Where the source says by a box whom a label means, only the face there has the label.
        """
        photos = rows.select(["id", "key", "label", "said", "photo"]).to_pylist()
        faces = [face for photo in photos for face in self._faces(photo)]
        self._embed([face for face in faces if "chip" in face])
        return pa.Table.from_pylist(faces, schema=loaded(FACES))

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
        )

    def _faces(self, photo: Row) -> Iterator[Row]:
        stem = (photo["id"] or hashlib.sha256(photo["key"].encode()).hexdigest())[:16]
        common = {"image": photo["id"], "key": photo["key"], "label": photo["label"]}
        try:
            pixels = _pixels(photo)
        except DecodeError as error:
            yield common | {"id": f"{stem}-none"} | _rejected(error.reject, error.detail)
            return
        common["detector"] = self._models.detector.name
        found = self._models.detector.detect(pixels)
        if not found:
            yield common | {"id": f"{stem}-none"} | _rejected(Reject.NO_FACE, f"by {common['detector']}")
        labels = _labels(photo["said"], [detection.box.tolist() for detection in found])
        for number, (detection, label) in enumerate(zip(found, labels, strict=True)):
            common["label"] = label
            face = common | {"id": f"{stem}-{number}", "box": detection.box, "score": detection.score}
            if number < self.max_faces:
                yield face | self._face(pixels, detection)
            else:
                why = f"smaller than the {self.max_faces} largest faces of the photo"
                yield face | _rejected(Reject.TOO_MANY_FACES, why)

    def _face(self, pixels: npt.NDArray[np.uint8], detection: Detection) -> Row:
        """All figures of one face, and the first limit that it fails."""
        points = self._models.landmarker.landmarks(pixels, detection.box, detection.points)
        try:
            transform = geometry.ffhq_transform(points, self.crop_size).astype(np.float32)  # as it is stored
        except ValueError as error:
            return _rejected(Reject.NO_FACE, str(error))
        crop = geometry.warp(pixels, transform, self.crop_size)
        pose = geometry.pose(points)
        phash, phash_mirror = perceptual_hashes(crop.pixels)
        face: Row = {
            "landmarks": geometry.apply_transform(transform, points).ravel(),
            "transform": transform.ravel(),
            "crop": _png(crop.pixels),
            "crop_size": self.crop_size,
            "outside": crop.outside,
            "chip": self._models.embedder.chip(pixels, points),
            "yaw": pose.yaw,
            "pitch": pose.pitch,
            "roll": pose.roll,
            "face_px": self.crop_size / geometry.scale_of(transform),
            "sharpness": quality.sharpness(crop.pixels),
            "niqe": quality.niqe(crop.pixels) if self.niqe else None,
            "brisque": quality.brisque(crop.pixels) if self.brisque else None,
            "crop_phash": phash,
            "crop_phash_mirror": phash_mirror,
            "landmarker": self._models.landmarker.name,
            "embedder": self._models.embedder.name,
        }
        return face | self._verdict(face)

    def _embed(self, faces: list[Row]) -> None:
        """Put the embedding in the place of the chip: for all faces of the photos at once."""
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


def _pixels(photo: Row) -> npt.NDArray[np.uint8]:
    data = photo["photo"]
    if data is None or photo["id"] is None:
        raise DecodeError(Reject.UNREADABLE, "its bytes could not be had")
    if hashlib.sha256(data).hexdigest() != photo["id"]:
        raise DecodeError(Reject.CHANGED, "the SHA-256 of its bytes is no longer its id")
    return decode(data, _ADMITTED).pixels


def _labels(said: list[Row], found: list[list[float]]) -> list[str | None]:
    """The label of each found face, by the labels and boxes that the photo is listed with.

    Listed boxes come first. The other faces have the label that is listed without a box; none if there are
    several such, unless nothing has a box: then the first, which the faces may yet contradict.
    """
    boxed = [listed for listed in said if listed["box"] is not None]
    placed = {listed["label"] for listed in boxed}
    loose = list(dict.fromkeys(listed["label"] for listed in said if listed["label"] not in placed))
    other = loose[0] if len(loose) == 1 or (loose and not boxed) else None
    meant = match_boxes([listed["box"] for listed in boxed], found)
    return [boxed[meant[face]]["label"] if face in meant else other for face in range(len(found))]


def _rejected(reject: Reject, detail: str) -> Row:
    return {"reject": str(reject), "reject_detail": detail}


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """One filter for all rows, and runs only: half the time of Pillow's level 1, for files of the same size."""
    import cv2

    how = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
    how += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_COMPRESSION, 1]
    _, file = cv2.imencode(".png", pixels[..., ::-1], how)  # it wants BGR
    return bytes(file.tobytes())
