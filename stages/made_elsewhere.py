"""Made elsewhere: check and align references of single targets that somebody else made, such as edits by a GAN."""

import json
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from annotated_types import Ge, Le

from facerefs.schemas.reject import Reject
from facerefs.schemas.sample import MAX_REFERENCES
from facerefs.schemas.tables import MADE_ELSEWHERE, loaded
from facerefs.stages.copies.copy_rule import COPY, CopyRule, Cosine
from facerefs.stages.engines.calibration import calibration_of
from facerefs.stages.stage import SHARED, PartStage

Row = dict[str, Any]


@dataclass(frozen=True)
class Elsewhere:
    """Find, align and measure the face of each file, as `analyse` does for photos, and compare it with its target.

    A copy of the target, by `rule`, is no reference. The files must keep the limits of `crawl` and `analyse`:
    bytes, pixels, a face, its size and sharpness. The largest accepted face counts, and is aligned by its landmarks,
    also if the file is an aligned face already; but with `analyse.align: keep` it must be, and is kept as it is.
    """

    folder: str | None = None
    """Folder of references made elsewhere, `TARGET.png` or `POSE/VARIANT/TARGET.png`, where TARGET is the name of the
    target's photo without its ending or the key of its sample; null: there are none."""
    licence: str | None = None
    """Licence of the files in `folder`, which is stored with each of these references."""
    per_target: Annotated[int, Ge(1), Le(MAX_REFERENCES)] = 8
    """Maximum number of these references of a face, in the order of their paths."""
    min_similarity: Cosine | None = None
    """Minimum cosine of the embedding to the target's; null: from which the embedder takes two faces for one person."""
    crawl: Any = field(default=None, metadata=SHARED)  # the stages of the build, which are `PartStage`s
    analyse: Any = field(default=None, metadata=SHARED)
    rule: CopyRule = field(default_factory=CopyRule, metadata=SHARED)

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "faces": ("id", "key", "landmarks", "embedding", "yaw", "pitch", "crop_phash", "reject"),
    }
    writes: ClassVar[str] = "made_elsewhere"
    loads: ClassVar[tuple[str, ...]] = ("photo",)
    version: ClassVar[int] = 1
    cpus: ClassVar[float] = 1.0

    @property
    def gpus(self) -> float:
        """GPUs that one worker takes."""
        return _given(self.analyse).gpus

    @cached_property
    def _faces(self) -> PartStage:
        # Engines are loaded into a copy of this object's own, since those settings are sent to workers.
        return copy(_given(self.analyse))

    def setup(self) -> None:
        """Load the engines of `analyse`. Raises MissingWeights."""
        self._faces.setup()

    def process(self, rows: pa.Table) -> pa.Table:
        """Rows of `MADE_ELSEWHERE` with the crops as PNG bytes. rows: `ELSEWHERE_PLAN`, with `photo` as bytes."""
        plan = rows.to_pylist()
        open_rows = [row for row in plan if row["reject"] is None]
        images = self._images(open_rows)
        faces = self._largest([image for image in images if image["reject"] is None], open_rows)
        out = []
        for row in plan:
            made = {"target": row["target"], "file": row["file"]}
            if row["reject"] is not None:
                out.append(made | {"reject": row["reject"], "reject_detail": row["reject_detail"]})
                continue
            image = images.pop(0)
            made["image"] = image["id"]
            found = image if image["reject"] is not None else faces[row["file"]]
            if found["reject"] is not None:
                out.append(made | {name: found[name] for name in ("reject", "reject_detail")})
            else:
                out.append(made | self._compared(row, found))
        return pa.Table.from_pylist(
            [dict.fromkeys(MADE_ELSEWHERE.names) | row for row in out], loaded(MADE_ELSEWHERE)
        )

    def _images(self, rows: list[Row]) -> list[Row]:
        listed = [{"key": row["file"], "photo": row["photo"], "photo_at": row["photo_at"]} for row in rows]
        return _given(self.crawl).process(pa.table(_columns(listed))).to_pylist() if rows else []

    def _largest(self, images: list[Row], rows: list[Row]) -> dict[str, Row]:
        """By file, its largest accepted face, else its first rejected row."""
        data = {row["file"]: row["photo"] for row in rows}
        photos = [
            {"key": one["key"], "id": one["id"], "photo": data[one["key"]], "group": one["key"]}
            for one in images
        ]
        found: dict[str, Row] = {}
        for face in self._faces.process(pa.table(_columns(photos))).to_pylist() if photos else ():
            best = found.get(face["key"])
            if best is None or (best["reject"] is not None and face["reject"] is None):
                found[face["key"]] = face
        return found

    def _compared(self, row: Row, face: Row) -> Row:
        """The columns of an accepted file, or the rejection of one that shows another person or copies its target."""
        similarity = float(np.dot(face["embedding"], row["target_embedding"]))
        least = self.min_similarity
        if least is None:
            least = calibration_of(face["embedder"]).same
        if not similarity >= least:
            detail = f"cosine {similarity:.3f} to its target, at least {least:g}"
            return {"reject": str(Reject.WRONG_LABEL), "reject_detail": detail}
        apart = np.abs(np.subtract(face["landmarks"], row["target_landmarks"])).mean() / face["crop_size"]
        bits = [
            (face[name] ^ row["target_crop_phash"]).bit_count()
            for name in ("crop_phash", "crop_phash_mirror")
        ]
        evidence = np.array([similarity]), np.array([min(bits)]), np.array([apart])
        if self.rule.calibrated(face["embedder"]).kinds(*evidence)[0] == COPY:
            return {
                "reject": str(Reject.COPY),
                "reject_detail": f"cosine {similarity:.3f}, {min(bits)} bits apart",
            }
        gap = max(abs(face["yaw"] - row["target_yaw"]), abs(face["pitch"] - row["target_pitch"]))
        return {name: face[name] for name in MADE_ELSEWHERE.names if name in face} | {
            "id": f"{row['target']}/{row['file']}",
            "landmark_distance": float(apart),
            "similarity": similarity,
            "pose_gap": float(gap),
            "elsewhere": self._provenance(row),
        }

    def _provenance(self, row: Row) -> str:
        said = {name: row[name] for name in ("folder", "file", "pose", "variant")} | {"licence": self.licence}
        stated = {name: value for name, value in said.items() if value is not None}
        return json.dumps(stated, sort_keys=True, separators=(",", ":"))


def _given(stage: PartStage | None) -> PartStage:
    if stage is None:
        raise ValueError("the stage needs the stages crawl and analyse of its build")
    return stage


def _columns(rows: list[Row]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}
