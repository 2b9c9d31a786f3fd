"""The format of a sample: its files, every field of its JSON, and the limits. The only definition.

The shard stage writes this format, the stream reads it, `facerefs verify` checks each sample against it, and the
dataset card, Croissant and the tables of docs/shards.md are made from it. Defined elsewhere: the operations of theta,
records with their own ranges, in `schemas/operations.py`; and the manifest, in `schemas/manifest.py`.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from facerefs.schemas.fields import ALWAYS, Field, ListOf, Number, Numbers, Object, Text, UnitVector, Whole
from facerefs.schemas.operations import shown
from facerefs.schemas.theta import from_records

VERSION = 2
"""Version of the format of samples and manifest, stored in the manifest. Raise it if old readers would misread it."""

MAX_JSON_BYTES = 4 << 20
MAX_IMAGE_BYTES = 64 << 20
MAX_SIDE_PX = 4096
"""Maximum side of every image: a face has 512 or 1024 px, and a recipe enlarges it at most four times."""
MAX_REFERENCES = 64
MAX_RECIPES = 16
"""Maximum number of samples of one target, each with a degraded face of another recipe."""
MAX_OPERATIONS = 200
"""Maximum length of a theta: 8 passes of at most 10 operations, and a final pass."""
MAX_EMBEDDING = 4096
MAX_NAME = 1024
"""Maximum length of an identity or a label in characters; sources do not shorten names within it."""
_MAX_TEXT = 16_384  # characters: keys and URLs have at most 8 KiB each
_FARTHEST_PX = 1e6

SPLITS = ("train", "val", "test")


# ---------------------------------------------------------------- files


class ImageType(NamedTuple):
    """An image format of samples."""

    extension: str
    pillow: str  # name of the format in Pillow
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
    """A kind of file in a sample: `KEY.gt.jpg`, where `gt` is the kind; `KEY.ref0.jpg` if the kind is numbered.

    The kind `json` is `KEY.json`. If a sample has a file with several extensions, readers use the first in
    `extensions`.
    """

    kind: str
    extensions: tuple[str, ...]
    meaning: str
    detail: str = ""
    numbered: bool = False
    when: str = ALWAYS

    def name(self, extension: str, number: int | None = None) -> str:
        """The name of a file after the key and the dot, such as `ref0.jpg`."""
        return extension if self.kind == extension else f"{self.numbered_kind(number)}.{extension}"

    def find(self, files: Collection[str], number: int | None = None) -> str | None:
        """The name of this file among `files`, None if it is not there."""
        names = (self.name(extension, number) for extension in self.extensions)
        return next((name for name in names if name in files), None)

    def numbered_kind(self, number: int | None) -> str:
        """The kind with its number if it has one, such as `gt` or `ref0`."""
        return f"{self.kind}{number}" if self.numbered and number is not None else self.kind

    def says(self, number: int | None = None) -> str:
        """A sentence that describes the file with this number, or with a general number `i`."""
        return self.meaning.format(i="i" if number is None else number)


GROUND_TRUTH = SampleFile("gt", _ANY_IMAGE, "Ground truth: the aligned face.", "Square, RGB.")
DEGRADED = SampleFile(
    "lq",
    _ANY_IMAGE,
    "The degraded face, at its low resolution.",
    "The output of theta's last operation: exactly its JPEG, or PNG if not every theta of the recipe ends with JPEG. "
    "A published degraded image (`given` in the JSON) is PNG: as large as the ground truth, or a whole number of times "
    "smaller.",
)
JSON = SampleFile(
    "json", ("json",), "Identity, landmarks, boxes, embedding, theta, and where each photo comes from."
)
REFERENCE = SampleFile(
    "ref",
    _ANY_IMAGE,
    "Reference {i} of the same person, 0 is the best.",
    "As large as the ground truth. If its entry in the JSON has a `synthesis`, it is made from the target.",
    numbered=True,
    when="as many as the JSON lists",
)
OF_MASKED = "sets with masks only"
MASK = SampleFile(
    "mask",
    _LOSSLESS,
    "Where the face is in the ground truth: 255, elsewhere 0.",
    "Gray, as large as the ground truth. Builds write PNG.",
    when=OF_MASKED,
)
REFERENCE_MASK = SampleFile(
    "mask",
    _LOSSLESS,
    "The same of reference {i}.",
    "That of a synthesised reference is its target's, moved as the pixels are.",
    numbered=True,
    when=MASK.when,
)
FILES = (GROUND_TRUTH, DEGRADED, JSON, REFERENCE)
"""The files that a build writes and that are in every sample."""


MASK_FILES = (MASK, REFERENCE_MASK)
"""The files that are in every sample of a set with masks."""


def files_of(masks: bool) -> tuple[SampleFile, ...]:
    """The files of every sample in a set with or without masks."""
    return (*FILES, *MASK_FILES) if masks else FILES


def kinds_of(references: int, masks: bool = False) -> list[str]:
    """The sorted kinds of the files of a sample with this number of references."""
    files = files_of(masks)
    numbered = [file.numbered_kind(i) for file in files if file.numbered for i in range(references)]
    return sorted([*(file.kind for file in files if not file.numbered), *numbered])


# ---------------------------------------------------------------- JSON

IF_STATED = "if the source says so"
OF_PHOTOS = "photos only"
OF_SYNTHESISED = "synthesised references only"
OF_MADE_ELSEWHERE = "references made elsewhere only"
OF_GIVEN = "published degraded images only"
IF_IN_FOLDERS = "if the file is in folders POSE/VARIANT"

KEY = Text(90, pattern=r"[A-Za-z0-9_-]+", form="letters, digits, `-` and `_`, at most 90")
_TEXT = Text(_MAX_TEXT)
_ENGINE = Text()
_DEGREES = Number(-180, 180)
BOX = Numbers((4,), _FARTHEST_PX)
NAME = Text(MAX_NAME)
LANDMARKS = Numbers((68, 2), _FARTHEST_PX)
EMBEDDING = UnitVector(MAX_EMBEDDING)

FACE = (
    Field("face", KEY, "id of the face: 16 digits of the photo's SHA-256, `-`, and the number of the face"),
    Field(
        "image",
        Text(64, pattern="[0-9a-f]{64}", form="64 digits, 0-9 and a-f"),
        "SHA-256 of the photo's bytes",
    ),
    Field("key", _TEXT, "the photo in its source: its relative path, or label and URL"),
    Field("url", _TEXT, "URL of the photo", when=IF_STATED),
    Field("page", _TEXT, "URL of the page about the photo", when=IF_STATED),
    Field("licence", _TEXT, "licence of the photo", when=IF_STATED),
    Field("attribution", _TEXT, "author, to be named as the licence requires", when=IF_STATED),
    Field("label", NAME, "name of the person, from the source", when=IF_STATED),
    Field("crop_size", Whole(1, MAX_SIDE_PX), "side length of the aligned face", "px"),
    Field(
        "landmarks",
        LANDMARKS,
        "x and y of the 68 points of iBUG 300-W; pixel centres are at whole numbers",
        "px of the aligned face",
    ),
    Field(
        "transform",
        Numbers((6,), 1e9),
        "2 x 3 affine matrix, row by row: maps pixels of the upright photo to pixels of the aligned face",
        when=OF_PHOTOS,
    ),
    Field("embedding", EMBEDDING, "identity embedding; D depends on the embedder", when=OF_PHOTOS),
    Field("yaw", _DEGREES, "yaw of the head; positive: towards the right edge of the photo", "degrees"),
    Field("pitch", _DEGREES, "pitch of the head; positive: up", "degrees"),
    Field("roll", _DEGREES, "roll of the head in the photo; positive: clockwise", "degrees", OF_PHOTOS),
    Field(
        "face_px",
        Number(0, _FARTHEST_PX),
        "side length of the aligned face's square in the photo",
        "px of the photo",
    ),
    Field("detector", _ENGINE, "engine that found the face", when=OF_PHOTOS),
    Field("landmarker", _ENGINE, "engine that found the landmarks", when=OF_PHOTOS),
    Field("embedder", _ENGINE, "engine that computed the embedding", when=OF_PHOTOS),
    Field(
        "parser",
        _ENGINE,
        "engine that made the mask: `bisenet`, or `hull` of the landmarks; of a synthesised reference, its target's",
        when=OF_MASKED,
    ),
)
"""The fields of a target and of each reference. Unknown values are left out, never null."""

BOXES = (
    Field(
        "left_eye",
        BOX,
        "around the eye on the left of the image, the person's right eye",
        "px of the aligned face",
    ),
    Field("right_eye", BOX, "around the eye on the right of the image", "px of the aligned face"),
    Field("mouth", BOX, "around the mouth", "px of the aligned face"),
)
"""Squares: left, top, right, bottom. `facerefs.stages.faces.boxes.component_boxes` makes them from the landmarks."""

SYNTHESIS = (
    Field("mirrored", Whole(0, 1), "1: made from the mirror image of the target; all else is of that image"),
    Field("yaw_deg", Number(-30, 30), "added to the target's yaw", "degrees"),
    Field("pitch_deg", Number(-20, 20), "added to the target's pitch", "degrees"),
    Field("brows", Number(-1, 1), "shift of the brows: 1 up, -1 down"),
    Field("smile", Number(-1, 1), "shift of the corners of the mouth: 1 up and out, -1 down and in"),
    Field(
        "light_azimuth_deg",
        Number(-90, 90),
        "azimuth of an added light: positive from the right of the photo",
        "degrees",
    ),
    Field("light_elevation_deg", Number(-60, 80), "elevation of that light: positive from above", "degrees"),
    Field("light_strength", Number(0, 1), "strength of that light: 0 none, 1 strong shading"),
    Field("gain", Number(0.6, 1.6), "brightness factor"),
    Field("warmth", Number(-1, 1), "colour temperature: -1 cool to 1 warm"),
    Field("ageing", Number(-1, 1), "skin texture: -1 smooth to 1 rough"),
    Field(
        "grain", Number(0, 1), "share of the skin's finest texture that is noise of the same strength instead"
    ),
    Field("grain_seed", Whole(0, 2**32 - 1), "seed of that noise"),
)
"""How a reference was made from its target."""

ELSEWHERE = (
    Field("folder", NAME, "name of the folder `made_elsewhere.folder`"),
    Field("file", _TEXT, "path of the file in that folder"),
    Field("pose", NAME, "the first folder of that path", when=IF_IN_FOLDERS),
    Field("variant", NAME, "the second folder of that path", when=IF_IN_FOLDERS),
    Field("licence", _TEXT, "`made_elsewhere.licence`; the target's licence holds as well", when=IF_STATED),
)
"""Where a reference comes from that was made of its target elsewhere."""

GIVEN = (
    Field("file", _TEXT, "name of the image in the published list"),
    Field(
        "sha256",
        Text(64, pattern="[0-9a-f]{64}", form="64 digits, 0-9 and a-f"),
        "SHA-256 of the published file",
    ),
)
"""The published degraded image that a sample stores, as PNG: its theta is not known."""
GIVEN_RECIPE = "given"
"""The recipe that a sample with a published degraded image names; its theta is empty."""

PAIR = (
    Field("rank", Whole(0, MAX_REFERENCES - 1), "0 is the best; also the number in the file's name"),
    Field(
        "landmark_distance",
        Number(0, _FARTHEST_PX),
        "mean L1 distance between its 68 landmarks and those of the target",
        "sides of the aligned face",
        OF_PHOTOS,
    ),
    Field(
        "similarity", Number(-1, 1, rounding=0.02), "cosine of its embedding and the target's", "", OF_PHOTOS
    ),
    Field(
        "pose_gap",
        Number(0, 360),
        "the larger of the differences in yaw and in pitch to the target",
        "degrees",
        OF_PHOTOS,
    ),
    Field(
        "strategy",
        _ENGINE,
        "how the reference was chosen: `select.strategy`, `published`, `synthesised` or `made elsewhere`",
    ),
    Field("synthesis", Object(SYNTHESIS), "how the reference was made from the target", when=OF_SYNTHESISED),
    Field("elsewhere", Object(ELSEWHERE), "which file the reference is", when=OF_MADE_ELSEWHERE),
)
"""The additional fields of a reference."""


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
    Field(
        "key",
        KEY,
        "key of the sample: the id of the target's face; in a set of several recipes, followed by `-` and the recipe",
    ),
    Field(
        "split",
        Text(choices=SPLITS),
        "split; no person is in two splits, unless the splits are published ones",
    ),
    Field("identity", NAME, "the person in target and references"),
    Field(
        "recipe",
        Text(40, pattern="[a-z][a-z0-9_-]*", form="a-z, 0-9, `_` and `-`, at most 40"),
        "name of the recipe that theta was drawn from; `given` for a published degraded image",
    ),
    Field("theta", ThetaList(), "the operations that made the degraded face from the ground truth, in order"),
    Field(
        "given",
        Object(GIVEN),
        "which published image the degraded face is; then nobody knows its theta, and the list is empty",
        when=OF_GIVEN,
    ),
    Field("target", Object(TARGET), "the face of the ground truth"),
    Field("references", REFERENCES, "the faces of the references, best first"),
)
"""The JSON of a sample."""


def read_json(data: bytes) -> dict[str, Any]:
    """The JSON object of a sample. Raises ValueError with one sentence if it is too long or not a JSON object."""
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
    """The first fault of a sample's JSON against this definition, in one sentence; None if there is none."""
    if fault := Object(SAMPLE).fault("", record):
        return fault
    if "given" in record and (record["theta"] or record["recipe"] != GIVEN_RECIPE):
        return "a given degraded face has a theta or another recipe than `given`"
    faces = {"target": record["target"]}
    faces |= {f"references.{number}": face for number, face in enumerate(record["references"])}
    for place, face in faces.items():
        if "synthesis" in face:
            continue
        for field in (*FACE, *(() if place == "target" else PAIR)):
            if field.when == OF_PHOTOS and field.name not in face:
                return f"{place}.{field.name} is missing"
    return None
