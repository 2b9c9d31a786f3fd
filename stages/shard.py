"""Turn each target with its references into a sample: degrade the face and encode the files of the sample."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from annotated_types import Ge, Le

from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.reject import Reject
from facerefs.schemas.sample import (
    GIVEN_RECIPE,
    GROUND_TRUTH,
    IMAGE_TYPES,
    JSON,
    MASK,
    MAX_RECIPES,
    REFERENCE,
    REFERENCE_MASK,
)
from facerefs.schemas.tables import BUNDLE, FACE_IN_SAMPLE, FACES, PAIR_IN_SAMPLE, SAMPLES
from facerefs.stages.degrade.recipes import RECIPES, Recipe, RecipeName
from facerefs.stages.freed_memory import keep_freed_memory
from facerefs.stages.images.degraded import DegradedError, given_file
from facerefs.stages.images.encode import (
    ImageFormat,
    decode_image,
    decode_mask,
    degraded_file,
    encode_mask,
    encode_pixels,
    expected_share,
)
from facerefs.stages.images.encoded_crops import EncodedCrops, is_sound

Row = Mapping[str, Any]
_OTHER_BYTES = 25_000  # mean size of degraded face, JSON and tar headers of a sample


class Images(NamedTuple):
    """The image files of a sample that are made of crops."""

    truth: bytes
    references: list[bytes | None]  # None: one that is synthesised from the ground truth


@dataclass(frozen=True)
class Shard:
    """Writes the samples of one shard, as `schemas.sample` defines them: images, and the JSON that describes them.

    Ground truth and references are JPEG 4:4:4 of quality 98 by default: PSNR 48 dB, an error of about one gray level.
    They decode 4 times as fast as PNG and have 0.4 of its bytes; decoding is the bottleneck of training
    (docs/shards.md). `png` and `webp` are lossless. In every format the degraded face, and each synthesised
    reference, is made from the pixels that the stored ground truth decodes to.

    The split is chosen by a hash of the identity's name, so that a person with a name stays in the same split when
    photos are added (`splits.py`).
    """

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {  # joined: `facerefs.schemas.tables.SAMPLE_PLAN`
        "pairs": (
            "target",
            "reference",
            "identity",
            "given_row",
            "reject",
            *(name for name, _ in PAIR_IN_SAMPLE),
        ),
        "faces": (
            "id",
            "crop",
            *(name for name, _ in FACE_IN_SAMPLE if name in FACES.names),
            "crop_sha256",
            "mask",
            "mask_sha256",
            "parser",
        ),
        "given_pairs": ("row", "degraded", "degraded_file", "degraded_sha256"),
        "splits": ("target", "split", "reject"),
        "labels": ("face", "label"),
        "sources": ("key", "url", "page", "licence", "attribution"),
        "made_elsewhere": (
            *("id", "image", "landmarks", "transform", "crop", "crop_size", "mask", "parser"),
            *("crop_sha256", "mask_sha256"),
            *("embedding", "yaw", "pitch", "roll"),
            *("face_px", "detector", "landmarker", "embedder"),
        ),
    }
    writes: ClassVar[str] = "samples"
    loads: ClassVar[tuple[str, ...]] = ("target_crop", "reference_crops", "masks", "degraded")
    version: ClassVar[int] = 2
    cpus: ClassVar[float] = 1
    gpus: ClassVar[float] = 0

    recipe: RecipeName | Recipe | tuple[RecipeName | Recipe, ...] = "gfpgan"
    """How faces are degraded: the name of a recipe, or a recipe of your own; a list of them gives each target a sample
    for each recipe."""
    seed: Annotated[int, Ge(0)] = 0
    """Random seed of the degradation: another seed gives other degradations."""
    shard_mb: Annotated[float, Ge(0.01), Le(16_384)] = 256.0
    """Approximate size of a shard in MB: a shard has 0.7 to 1.4 times this size."""
    image_format: ImageFormat = "jpeg"
    """Format of the stored faces; `png` and `webp` are lossless."""
    jpeg_quality: Annotated[int, Ge(90), Le(100)] = 98
    """JPEG quality of the stored faces, without chroma subsampling."""
    val_share: Annotated[float, Ge(0), Le(1)] = 0.05
    """Share of the people in the validation split."""
    test_share: Annotated[float, Ge(0), Le(1)] = 0.05
    """Share of the people in the test split."""
    test_people: Annotated[int, Ge(1)] | None = None
    """Number of people in the test split, instead of a share; null takes the share."""
    contact: str | None = field(default=None, metadata={"changes_rows": False})
    """Whom to ask to remove a photo or person, such as an e-mail address or page: the dataset card names it."""

    def __post_init__(self) -> None:
        if self.contact is not None and not (
            self.contact.isprintable() and 3 <= len(self.contact.strip()) <= 200
        ):
            raise ValueError(f"contact is one line of 3 to 200 characters, not {self.contact[:40]!r}")
        if self.val_share + self.test_share > 1:
            raise ValueError("val_share and test_share are more than 1 together")
        for recipe in self._as_list:
            if isinstance(recipe, str) and recipe not in RECIPES:
                raise ValueError(f"recipe is one of {', '.join(RECIPES)}, or a recipe, not {recipe!r}")
        names = [recipe.name for recipe in self.recipes]
        if not 1 <= len(names) <= MAX_RECIPES:
            raise ValueError(f"recipe is a list of 1 to {MAX_RECIPES} recipes, not of {len(names)}")
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"recipe names {twice[0]} twice: every recipe of a list has a name of its own")
        for recipe in self.recipes:
            if recipe.name == GIVEN_RECIPE:
                raise ValueError(
                    f"no recipe is called {GIVEN_RECIPE}: that is what published degraded images name"
                )
            known = RECIPES.get(recipe.name)
            if known is not None and known != recipe:
                raise ValueError(
                    f"the recipe {known.name} is facerefs' own and has other numbers: give yours another name"
                )

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipes; `recipe` may be one, and only its name."""
        return tuple(RECIPES[one] if isinstance(one, str) else one for one in self._as_list)

    @property
    def degraded_as_jpeg(self) -> bool:
        """Whether the degraded faces are JPEGs; if not every theta ends with JPEG, all of them are PNGs."""
        return all(recipe.ends_with_jpeg for recipe in self.recipes)

    @property
    def _as_list(self) -> tuple[RecipeName | Recipe, ...]:
        return self.recipe if isinstance(self.recipe, tuple) else (self.recipe,)

    def setup(self) -> None:
        """Keep freed memory, for the degradation; it has no weights."""
        keep_freed_memory()

    def process(self, rows: pa.Table) -> pa.Table:
        """Rows of `SAMPLES` with their files.

        rows: `facerefs.schemas.tables.SAMPLE_PLAN`, `GIVEN_IN_PLAN` if there are published degraded images,
        `MASKS_IN_PLAN` if faces have masks, and `RECIPE_IN_PLAN` if there are several recipes; all images as bytes.
        """
        plan = rows.to_pylist()
        stored = [self._stored(row) for row in plan]
        complete = [(row, images) for row, images in zip(plan, stored, strict=True) if images is not None]
        samples = iter(self._samples(complete))
        out = [
            self._missing(row) if images is None else next(samples)
            for row, images in zip(plan, stored, strict=True)
        ]
        return pa.table(
            {name: [row.get(name) for row in out] for name in SAMPLES.names},
            schema=SAMPLES.set(SAMPLES.get_field_index("files"), pa.field("files", BUNDLE)),
        )

    def expected_bytes(self, crop_bytes: int) -> float:
        """The approximate bytes of a sample in its shard. crop_bytes: of all its crops together."""
        return crop_bytes * expected_share(self.image_format, self.jpeg_quality) + _OTHER_BYTES

    @cached_property
    def _crops(self) -> EncodedCrops:
        return EncodedCrops(self.image_format, self.jpeg_quality)

    def _stored(self, row: Row) -> Images | None:
        """The image files of a sample; None if a crop or a mask that they need is lost or damaged."""
        if not _complete(row):
            return None
        truth = self._crops.file_of(row["target_crop"])
        references = [None if crop is None else self._crops.file_of(crop) for crop in row["reference_crops"]]
        if truth is None or references.count(None) > row["reference_crops"].count(None):
            return None
        return Images(truth, references)

    def _samples(self, plan: Sequence[tuple[Row, Images]]) -> list[Row]:
        pixels = {truth: decode_image(truth) for truth in {images.truth for _, images in plan}}
        truths = [pixels[images.truth] for _, images in plan]
        degraded = self._degraded([row for row, _ in plan], truths)
        return [
            self._sample(row, images, truth, lq)
            for (row, images), truth, lq in zip(plan, truths, degraded, strict=True)
        ]

    def _degraded(
        self, plan: Sequence[Row], truths: Sequence[UInt8Image]
    ) -> list[tuple[str, str, bytes] | None]:
        """Theta, file name and bytes of the degraded face of each sample; None where a published list gives it."""
        from facerefs.schemas.theta import to_json
        from facerefs.stages.degrade.recipes import derive_seed, draw

        made: list[tuple[str, str, bytes] | None] = []
        as_jpeg = self.degraded_as_jpeg and not any("degraded" in row for row in plan)
        for row, truth in zip(plan, truths, strict=True):
            if _is_given(row):
                made.append(None)
                continue
            theta = draw(self._recipe_of(row), derive_seed(self.seed, row["key"], 0), truth.shape[0])
            made.append((to_json(theta), *degraded_file(truth, theta, as_jpeg)))
        return made

    def _recipe_of(self, row: Row) -> Recipe:
        """The recipe of a sample: the only one, or the one that its row names."""
        named = {recipe.name: recipe for recipe in self.recipes}
        return named[row["recipe"]] if "recipe" in row else self.recipes[0]

    def _recipe_name(self, row: Row) -> str:
        return GIVEN_RECIPE if _is_given(row) else self._recipe_of(row).name

    def _sample(
        self, row: Row, images: Images, truth: UInt8Image, degraded: tuple[str, str, bytes] | None
    ) -> Row:
        """The row of a sample. truth: the pixels of `images.truth`."""
        extension = IMAGE_TYPES[self.image_format].extension
        try:
            theta, lq_name, lq = degraded or ("[]", *_given(row, truth))
        except DegradedError as error:
            return self._row(row, reject=error.reject.value, reject_detail=str(error))
        try:
            references, described = self._references(row, images.references, truth)
            masks = _masks(row)
        except ValueError as error:
            return self._row(row, reject=Reject.NO_REFERENCE.value, reject_detail=str(error))
        files = {GROUND_TRUTH.name(extension): images.truth, lq_name: lq}
        files |= {JSON.name("json"): self._describe(row, described, theta)} | masks
        files |= {REFERENCE.name(extension, number): data for number, data in enumerate(references)}
        named = [{"name": f"{row['key']}.{name}", "data": files[name]} for name in sorted(files)]
        return self._row(row, theta=theta, files=named)

    def _references(
        self, row: Row, images: Sequence[bytes | None], truth: UInt8Image
    ) -> tuple[list[bytes], list[dict[str, Any]]]:
        """The image file of each reference, and its entry in the JSON of the sample."""
        from facerefs.stages.synthesise.stored import stored_reference

        files, described, target = [], [], _face(row["target"])
        for number, (image, reference) in enumerate(zip(images, row["references"], strict=True)):
            said = _face(reference) | _parser(row, number + 1)
            if image is None:
                pixels, said = stored_reference(truth, target, said)
                files.append(encode_pixels(pixels, self.image_format, self.jpeg_quality))
            else:
                files.append(image)
                if "elsewhere" in said:
                    said["elsewhere"] = json.loads(said["elsewhere"])
            described.append(said)
        return files, described

    def _missing(self, row: Row) -> Row:
        detail = "a crop or a mask of the sample could not be read back"
        return self._row(row, reject=Reject.CHANGED.value, reject_detail=detail)

    def _row(
        self,
        row: Row,
        theta: str | None = None,
        files: list[dict[str, Any]] | None = None,
        reject: str | None = None,
        reject_detail: str | None = None,
    ) -> Row:
        return {
            "key": row["key"],
            "split": row["split"],
            "identity": row["identity"],
            "target": row["target"]["face"],
            "references": [reference["face"] for reference in row["references"]],
            "recipe": self._recipe_name(row),
            "theta": theta,
            "files": files,
            "reject": reject,
            "reject_detail": reject_detail,
        }

    def _describe(self, row: Row, references: list[dict[str, Any]], theta: str) -> bytes:
        """The JSON of a sample (`schemas.sample.SAMPLE`), with sorted keys."""
        from facerefs.stages.faces.boxes import component_boxes

        target = _face(row["target"]) | _parser(row, 0)
        description = {
            "key": row["key"],
            "split": row["split"],
            "identity": row["identity"],
            "recipe": self._recipe_name(row),
            "theta": json.loads(theta),
            "target": target | {"boxes": component_boxes(np.array(target["landmarks"]), target["crop_size"])},
            "references": references,
        }
        if _is_given(row):
            description["given"] = {"file": row["degraded_file"], "sha256": row["degraded_sha256"]}
        return json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _is_given(row: Row) -> bool:
    """Whether a published list gives the degraded face of a row of the plan."""
    return row.get("degraded_sha256") is not None


def _given(row: Row, truth: UInt8Image) -> tuple[str, bytes]:
    """The name and the bytes of the degraded face that a published list gives. Raises DegradedError."""
    return given_file(row["degraded"], row["degraded_sha256"], truth.shape[0])


def _complete(row: Row) -> bool:
    """Whether all crops and masks of a sample were read, and its masks are sound."""
    # Synthesised references are made from the target's crop and have no crop of their own.
    made = sum(reference["synthesis"] is not None for reference in row["references"] or ())
    masks = row.get("masks", ())
    if "masks" in row and (masks[:1] == [None] or masks.count(None) != made):
        return False
    if row["target_crop"] is None or row["reference_crops"].count(None) != made:
        return False
    return all(is_sound(mask) for mask in masks if mask is not None)


def _masks(row: Row) -> dict[str, bytes]:
    """The mask files of a sample, none without masks; that of a synthesised reference is the target's, moved."""
    from facerefs.stages.synthesise.stored import stored_mask

    if "masks" not in row:
        return {}
    target, *references = row["masks"]
    files = {MASK.name("png"): target}
    for number, (mask, reference) in enumerate(zip(references, row["references"], strict=True)):
        stored = mask or encode_mask(stored_mask(decode_mask(target), _face(row["target"]), _face(reference)))
        files[REFERENCE_MASK.name("png", number)] = stored
    return files


def _parser(row: Row, number: int) -> dict[str, str]:
    """The engine of a face's mask for its JSON: of the target (0) or of a reference; nothing without masks."""
    return {"parser": row["parsers"][number]} if "parsers" in row else {}


def _face(face: Mapping[str, Any]) -> dict[str, Any]:
    points = np.asarray(face["landmarks"], np.float64).reshape(-1, 2).round(3)
    return {name: value for name, value in face.items() if value is not None} | {"landmarks": points.tolist()}
