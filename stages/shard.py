"""shard: turn each target with its references into a sample: degrade it and lay out its files."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from annotated_types import Ge, Le
from numpy.typing import NDArray

from schemas.reject import Reject
from schemas.tables import BUNDLE, SAMPLES

Row = Mapping[str, Any]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Shard:
    """Writes the samples of one shard: `gt`, `ref0` ..., `lq` and the JSON that says all about them.

    Splits are by a hash of the identity's name, so that a person with a name never changes sides when photos are
    added.
    """

    reads: ClassVar[str] = "pairs"  # joined with faces and images: `schemas.tables.SAMPLE_PLAN`
    writes: ClassVar[str] = "samples"
    loads: ClassVar[tuple[str, ...]] = ("target_crop", "reference_crops")
    version: ClassVar[int] = 1
    cpus: ClassVar[float] = 1
    gpus: ClassVar[float] = 0

    recipe: Literal["gfpgan", "gfpgan_colour", "rdfr", "posevaried", "refine", "bicubic"] = "gfpgan"
    seed: Annotated[int, Ge(0)] = 0
    samples_per_shard: Annotated[int, Ge(1), Le(100_000)] = 256  # about 256 MB at 512 px with one reference
    image_format: Literal["png", "webp"] = "png"  # both lossless
    val_share: Annotated[float, Ge(0), Le(1)] = 0.05
    test_share: Annotated[float, Ge(0), Le(1)] = 0.05

    def __post_init__(self) -> None:
        if self.val_share + self.test_share > 1:
            raise ValueError("val_share and test_share are more than 1 together")

    def setup(self) -> None:
        """Nothing to load: the degradation has no weights."""

    def process(self, rows: pa.Table) -> pa.Table:
        """Samples of planned targets (`schemas.tables.SAMPLE_PLAN`, crops as bytes); rows as `SAMPLES`."""
        plan = rows.to_pylist()
        whole = [row for row in plan if _complete(row)]
        degraded = iter(self._degrade(whole))
        out = [self._sample(row, *next(degraded)) if _complete(row) else self._missing(row) for row in plan]
        return pa.table(
            {name: [row[name] for row in out] for name in SAMPLES.names},
            schema=SAMPLES.set(SAMPLES.get_field_index("files"), pa.field("files", BUNDLE)),
        )

    def _degrade(self, plan: list[Row]) -> list[tuple[str, str, bytes]]:
        """Theta as JSON, and the degraded face as a file: name and bytes; for each planned sample."""
        import torch

        from schemas.theta import to_json
        from stages.degrade.engine import degrade
        from stages.degrade.recipes import RECIPES, draw, theta_seed

        if not plan:
            return []
        crops = [_pixels(row["target_crop"]) for row in plan]
        thetas = [
            draw(RECIPES[self.recipe], theta_seed(self.seed, row["key"], 0), crop.shape[0])
            for row, crop in zip(plan, crops, strict=True)
        ]
        batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
        return [
            (to_json(theta), *_lq_file(result.image, result.jpeg))
            for theta, result in zip(thetas, degrade(batch, thetas), strict=True)
        ]

    def _sample(self, row: Row, theta: str, lq_name: str, lq: bytes) -> Row:
        key = row["key"]
        images = {"gt": row["target_crop"]}
        images |= {f"ref{i}": crop for i, crop in enumerate(row["reference_crops"])}
        files = [
            {"name": f"{key}.{name}.{self.image_format}", "data": self._encode(png)}
            for name, png in images.items()
        ]
        files.append({"name": f"{key}.{lq_name}", "data": lq})
        files.append({"name": f"{key}.json", "data": self._describe(row, theta)})
        return self._row(row, theta=theta, files=files)

    def _missing(self, row: Row) -> Row:
        detail = "a crop of the sample could not be read back"
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
            "recipe": self.recipe,
            "theta": theta,
            "files": files,
            "reject": reject,
            "reject_detail": reject_detail,
        }

    def _encode(self, png: bytes) -> bytes:
        if self.image_format == "png":
            return png
        from PIL import Image

        buffer = io.BytesIO()
        Image.open(io.BytesIO(png)).save(buffer, "WEBP", lossless=True, method=0)
        return buffer.getvalue()

    def _describe(self, row: Row, theta: str) -> bytes:
        """The sample's JSON: everything a restoration model and a lawyer need, in a fixed order of keys."""
        from stages.boxes import component_boxes

        target = _face(row["target"])
        description = {
            "key": row["key"],
            "split": row["split"],
            "identity": row["identity"],
            "recipe": self.recipe,
            "theta": json.loads(theta),
            "target": target | {"boxes": component_boxes(np.array(target["landmarks"]), target["crop_size"])},
            "references": [_face(reference) for reference in row["references"]],
        }
        return json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def split_of(identity: str, seed: int, val_share: float, test_share: float) -> str:
    """The split of a person: a pure function of the identity's name, so it outlives additions."""
    from stages.degrade.recipes import theta_seed

    draw = theta_seed(seed, f"split {identity}", 0) / 2**64
    return "test" if draw < test_share else "val" if draw < test_share + val_share else "train"


def _complete(row: Row) -> bool:
    return row["target_crop"] is not None and None not in row["reference_crops"]


def _pixels(png: bytes) -> Pixels:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _lq_file(pixels: Pixels, jpeg: bytes | None) -> tuple[str, bytes]:
    """The very JPEG that the last operation made; a PNG if theta does not end with one."""
    if jpeg is not None:
        return "lq.jpg", jpeg
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "lq.png", buffer.getvalue()


def _face(face: Mapping[str, Any]) -> dict[str, Any]:
    points = np.asarray(face["landmarks"], np.float64).reshape(-1, 2).round(3)
    return {name: value for name, value in face.items() if value is not None} | {"landmarks": points.tolist()}
