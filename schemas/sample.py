"""What a sample holds: its files, every field of its JSON, and the limits. The one definition.

The shard stage writes it, the stream reads it, `facerefs verify` holds each sample against it, and the dataset card,
Croissant and the tables of docs/shards.md are made from it. Two parts of the JSON have their fields elsewhere: the
operations of theta, which are records with ranges of their own, in `schemas/operations.py`; and what lies around
samples, in `schemas/manifest.py`.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from facerefs.schemas.fields import ALWAYS, Field, ListOf, Number, Numbers, Object, Text, UnitVector, Whole
from facerefs.schemas.operations import shown
from facerefs.schemas.theta import from_records

VERSION = 2
"""Of the format of samples and manifest; it stands in the manifest. Raise it when readers of before would err."""

MAX_JSON_BYTES = 4 << 20
MAX_IMAGE_BYTES = 64 << 20
MAX_SIDE_PX = 4096
"""Of every image: a face has 512 or 1024 px, and a recipe enlarges it to at most four times as many."""
MAX_REFERENCES = 64
MAX_OPERATIONS = 200
"""Of a theta: 8 rounds of at most 10, and an ending."""
MAX_EMBEDDING = 4096
MAX_NAME = 1024
"""Characters of an identity or a label; sources cut none that is within."""
_MAX_TEXT = 16_384  # characters: keys and URLs have at most 8 KiB each
_FARTHEST_PX = 1e6

SPLITS = ("train", "val", "test")


# ---------------------------------------------------------------- files


class ImageType(NamedTuple):
    """An image format of samples."""

    extension: str
    pillow: str  # its name in Pillow
    mime: str
    lossless: bool


IMAGE_TYPES: Mapping[str, ImageType] = {  # by the value of `shard.image_format`
    "png": ImageType("png", "PNG", "image/png", lossless=True),
    "webp": ImageType("webp", "WEBP", "image/webp", lossless=True),
    "jpeg": ImageType("jpg", "JPEG", "image/jpeg", lossless=False),
}
_ANY_IMAGE = tuple(one.extension for one in IMAGE_TYPES.values())
_LOSSLESS = tuple(one.extension for one in IMAGE_TYPES.values() if one.lossless)


@dataclass(frozen=True)
class SampleFile:
    """A kind of file: `KEY.gt.jpg`, where `gt` is the kind, or `KEY.ref0.jpg` for those of which there are several.

    The kind `json` is `KEY.json`. Where a sample holds several extensions, readers take the first of `extensions`.
    """

    kind: str
    extensions: tuple[str, ...]
    meaning: str
    detail: str = ""
    numbered: bool = False
    when: str = ALWAYS

    def name(self, extension: str, number: int | None = None) -> str:
        """The name of a file, after the key and its dot."""
        return extension if self.kind == extension else f"{self.numbered_kind(number)}.{extension}"

    def find(self, files: Collection[str], number: int | None = None) -> str | None:
        """The file among these names, None if there is none."""
        names = (self.name(extension, number) for extension in self.extensions)
        return next((name for name in names if name in files), None)

    def numbered_kind(self, number: int | None) -> str:
        """The kind, such as `gt` or `ref0`."""
        return f"{self.kind}{number}" if self.numbered and number is not None else self.kind

    def says(self, number: int | None = None) -> str:
        """What the file is, in a sentence: of that number, or of any number i."""
        return self.meaning.format(i="i" if number is None else number)


GROUND_TRUTH = SampleFile("gt", _ANY_IMAGE, "Ground truth: the aligned face.", "Square, RGB.")
DEGRADED = SampleFile(
    "lq",
    _ANY_IMAGE,
    "The degraded face, at its low resolution.",
    "What theta's last operation left: its very JPEG, or PNG if not every theta of the recipe ends with JPEG.",
)
JSON = SampleFile(
    "json", ("json",), "Identity, landmarks, boxes, embedding, theta, and where each photo comes from."
)
REFERENCE = SampleFile(
    "ref",
    _ANY_IMAGE,
    "Reference {i} of the same person, 0 is the best.",
    "As large as the ground truth. One whose entry in the JSON has a `synthesis` is made from the target.",
    numbered=True,
    when="as many as the JSON lists",
)
MASK = SampleFile(
    "mask",
    _LOSSLESS,
    "Where the face is in the ground truth: 255, elsewhere 0.",
    "Gray, as large as the ground truth.",
    when="the stream reads it; no build writes one, and `facerefs verify` wants none",
)
REFERENCE_MASK = SampleFile(
    "mask",
    _LOSSLESS,
    "The same of reference {i}.",
    numbered=True,
    when=MASK.when,
)
FILES = (GROUND_TRUTH, DEGRADED, JSON, REFERENCE)
"""Those that a build writes, and that readers find in each sample."""
READ_FILES = (*FILES, MASK, REFERENCE_MASK)


def kinds_of(references: int) -> list[str]:
    """The kinds of the files of a sample with so many references, sorted."""
    numbered = [REFERENCE.numbered_kind(number) for number in range(references)]
    return sorted([*(file.kind for file in FILES if not file.numbered), *numbered])


# ---------------------------------------------------------------- JSON

IF_STATED = "if the source says so"
OF_PHOTOS = "photos only"
OF_SYNTHESISED = "synthesised references only"

KEY = Text(90, pattern=r"[A-Za-z0-9_-]+", form="letters, digits, `-` and `_`, at most 90")
_TEXT = Text(_MAX_TEXT)
_ENGINE = Text()
_DEGREES = Number(-180, 180)
BOX = Numbers((4,), _FARTHEST_PX)
NAME = Text(MAX_NAME)
LANDMARKS = Numbers((68, 2), _FARTHEST_PX)
EMBEDDING = UnitVector(MAX_EMBEDDING)

FACE = (
    Field("face", KEY, "id of the face: 16 digits of the photo's SHA-256, `-`, and which face of the photo"),
    Field(
        "image",
        Text(64, pattern="[0-9a-f]{64}", form="64 digits, 0-9 and a-f"),
        "SHA-256 of the photo's bytes",
    ),
    Field("key", _TEXT, "the photo in its source: its relative path, or label and URL"),
    Field("url", _TEXT, "where the photo was found", when=IF_STATED),
    Field("page", _TEXT, "the page about the photo", when=IF_STATED),
    Field("licence", _TEXT, "of the photo", when=IF_STATED),
    Field("attribution", _TEXT, "whom the licence wants named", when=IF_STATED),
    Field("label", NAME, "who the source says the photo shows", when=IF_STATED),
    Field("crop_size", Whole(1, MAX_SIDE_PX), "side of the aligned face", "px"),
    Field(
        "landmarks",
        LANDMARKS,
        "x and y of the 68 points of iBUG 300-W; pixel centres lie at whole numbers",
        "px of the aligned face",
    ),
    Field(
        "transform",
        Numbers((6,), 1e9),
        "2 x 3 affine map, row by row: pixels of the upright photo to those of the aligned face",
        when=OF_PHOTOS,
    ),
    Field("embedding", EMBEDDING, "identity embedding; D is the embedder's", when=OF_PHOTOS),
    Field("yaw", _DEGREES, "of the head; positive: towards the right edge of the photo", "degrees"),
    Field("pitch", _DEGREES, "of the head; positive: up", "degrees"),
    Field("roll", _DEGREES, "of the head in the photo; positive: clockwise", "degrees", OF_PHOTOS),
    Field(
        "face_px",
        Number(0, _FARTHEST_PX),
        "side of the aligned face's square in the photo",
        "px of the photo",
    ),
    Field("detector", _ENGINE, "the engine that found the face", when=OF_PHOTOS),
    Field("landmarker", _ENGINE, "the engine that found the landmarks", when=OF_PHOTOS),
    Field("embedder", _ENGINE, "the engine that made the embedding", when=OF_PHOTOS),
)
"""Of a target and of each reference. An unknown one is left out, never null."""

BOXES = (
    Field(
        "left_eye",
        BOX,
        "around the eye on the left of the image, the person's right one",
        "px of the aligned face",
    ),
    Field("right_eye", BOX, "around the eye on the right of the image", "px of the aligned face"),
    Field("mouth", BOX, "around the mouth", "px of the aligned face"),
)
"""Squares: left, top, right, bottom. `facerefs.stages.faces.boxes.component_boxes` makes them from the landmarks."""

SYNTHESIS = (
    Field("yaw_deg", Number(-15, 15), "added to the target's yaw", "degrees"),
    Field("pitch_deg", Number(-10, 10), "added to the target's pitch", "degrees"),
    Field("smile", Number(-1, 1), "corners of the mouth: 1 up and out, -1 down and in"),
    Field(
        "light_azimuth_deg",
        Number(-90, 90),
        "of an added light: positive from the right of the photo",
        "degrees",
    ),
    Field("light_elevation_deg", Number(-60, 80), "of the added light: positive from above", "degrees"),
    Field("light_strength", Number(0, 1), "of the added light: 0 none, 1 strong shading"),
    Field("gain", Number(0.6, 1.6), "of brightness"),
    Field("warmth", Number(-1, 1), "-1 cool to 1 warm"),
    Field("ageing", Number(-1, 1), "of the skin's texture: -1 smooth to 1 rough"),
)
"""How a reference was made from its target."""

PAIR = (
    Field("rank", Whole(0, MAX_REFERENCES - 1), "0 is the best; also the number in the file's name"),
    Field(
        "landmark_distance",
        Number(0, _FARTHEST_PX),
        "mean L1 distance of the 68 points to the target's",
        "sides of the aligned face",
        OF_PHOTOS,
    ),
    Field(
        "similarity", Number(-1, 1, rounding=0.02), "cosine of its embedding and the target's", "", OF_PHOTOS
    ),
    Field(
        "pose_gap",
        Number(0, 360),
        "the larger of the gaps in yaw and pitch to the target's",
        "degrees",
        OF_PHOTOS,
    ),
    Field("strategy", _ENGINE, "how the reference was chosen: `select.strategy`, or `synthesised`"),
    Field("synthesis", Object(SYNTHESIS), "how the reference was made from the target", when=OF_SYNTHESISED),
)
"""What a reference has beside the fields of a face."""


@dataclass(frozen=True)
class ThetaList:
    """The operations of a theta, as `schemas/operations.py` defines them."""

    @property
    def type(self) -> str:
        return "list of operations"

    @property
    def range(self) -> str:
        return f"0 to {MAX_OPERATIONS}"

    def fault(self, place: str, value: Any) -> str | None:
        if not isinstance(value, list) or len(value) > MAX_OPERATIONS:
            return f"{place} is a list of at most {MAX_OPERATIONS} operations, not {shown(value)}"
        try:
            from_records(value)
        except ValueError as error:
            return f"{place} does not fit: {error}"
        return None


TARGET = (*FACE, Field("boxes", Object(BOXES), "boxes of eyes and mouth"))
REFERENCES = ListOf(Object((*FACE, *PAIR)), MAX_REFERENCES)
SAMPLE = (
    Field("key", KEY, "of the sample: the id of the target's face"),
    Field("split", Text(choices=SPLITS), "nobody is in two of them"),
    Field("identity", NAME, "who target and references show"),
    Field(
        "recipe",
        Text(40, pattern="[a-z][a-z0-9_-]*", form="a-z, 0-9, `_` and `-`, at most 40"),
        "name of the recipe that theta was drawn from",
    ),
    Field("theta", ThetaList(), "the operations that made the degraded face from the ground truth, in order"),
    Field("target", Object(TARGET), "the face of the ground truth"),
    Field("references", REFERENCES, "the faces of the references, best first"),
)
"""The JSON of a sample."""


def read_json(data: bytes) -> dict[str, Any]:
    """The object that a sample's JSON holds. Raises ValueError with one sentence: too long, or no object of JSON."""
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(f"the JSON has {len(data)} bytes, at most {MAX_JSON_BYTES} are read")
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the JSON cannot be read: {error}") from None
    if not isinstance(record, dict):
        raise ValueError(f"the JSON is an object, not {shown(record)}")
    return record


def json_fault(record: Any) -> str | None:
    """What in a sample's JSON is not as defined here, in one sentence; None if all is."""
    if fault := Object(SAMPLE).fault("", record):
        return fault
    faces = {"target": record["target"]}
    faces |= {f"references.{number}": face for number, face in enumerate(record["references"])}
    for place, face in faces.items():
        if "synthesis" in face:
            continue
        for field in (*FACE, *(() if place == "target" else PAIR)):
            if field.when == OF_PHOTOS and field.name not in face:
                return f"{place}.{field.name} is missing"
    return None
