"""Landmarks in the form of COCO's keypoints: one JSON for each split, beside the faces."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facerefs.pipeline.export.export_folder import ExportFolder
from facerefs.pipeline.export.layout import Held, LayoutKind, SetFacts
from facerefs.pipeline.export.read_set import SetSample
from facerefs.pipeline.text import web_link

_PARTS = (  # of the 68 points of iBUG 300-W: name, number of points, whether the line through them is closed
    *(("jaw", 17, False), ("left_brow", 5, False), ("right_brow", 5, False), ("nose_bridge", 4, False)),
    *(
        ("nostrils", 5, False),
        ("left_eye", 6, True),
        ("right_eye", 6, True),
        ("lips", 12, True),
        ("mouth", 8, True),
    ),
)
_USAGE = """\
`keypoints_SPLIT.json` has the form of COCO's keypoints (`pycocotools.coco.COCO`); `images/` holds the faces. The 68
points are those of iBUG 300-W; pixel centres are at whole numbers; left is the left of the image. Points outside the
image have visibility 1, others 2. `bbox` is that of the points.
"""


@dataclass
class Coco:
    """Writes `images/` as they are stored, and `keypoints_SPLIT.json`."""

    out: ExportFolder
    facts: SetFacts
    images: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by split
    annotations: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def add(self, sample: SetSample) -> Held:
        """Write a ground truth, and keep its landmarks."""
        name = self.out.image(f"images/{sample.name}", sample.ground_truth, sample, "gt", png=False)
        if name not in self.names:
            self.names.add(name)
            self.images.setdefault(sample.split, []).append(self._image(name, sample))
            self.annotations.setdefault(sample.split, []).append(self._annotation(sample))
        return Held(landmarks=1)

    def _image(self, name: str, sample: SetSample) -> dict[str, Any]:
        target = sample.record["target"]
        licence = target.get("licence", "not stated")
        image = {
            "id": len(self.names),
            "file_name": name.removeprefix("images/"),
            "width": sample.side_px,
            "height": sample.side_px,
            "license": self.licences.setdefault(licence, len(self.licences) + 1),
            "attribution": target.get("attribution"),
            "coco_url": web_link(target.get("url")),
        }
        return {key: value for key, value in image.items() if value is not None}

    def _annotation(self, sample: SetSample) -> dict[str, Any]:
        points = np.array(sample.record["target"]["landmarks"], np.float64)
        inside = ((points >= -0.5) & (points <= sample.side_px - 0.5)).all(axis=1)
        low, extent = points.min(axis=0), np.ptp(points, axis=0)
        return {
            "id": len(self.names),
            "image_id": len(self.names),
            "category_id": 1,
            "iscrowd": 0,
            "num_keypoints": len(points),
            "keypoints": np.column_stack([points, np.where(inside, 2, 1)]).ravel().round(3).tolist(),
            "bbox": [*low.round(3).tolist(), *extent.round(3).tolist()],
            "area": round(float(extent.prod()), 3),
            "identity": sample.identity,
        }

    def finish(self) -> list[str]:
        """Write a JSON for each split."""
        names, skeleton = _points()
        for split, images in self.images.items():
            tree = {
                "info": {
                    "description": f"Faces of the split {split}, exported by facerefs",
                    "version": "1.0",
                },
                "licenses": [
                    {"id": i, "name": name, "url": web_link(name) or ""} for name, i in self.licences.items()
                ],
                "images": images,
                "annotations": self.annotations[split],
                "categories": [
                    {
                        "id": 1,
                        "name": "face",
                        "supercategory": "person",
                        "keypoints": names,
                        "skeleton": skeleton,
                    }
                ],
            }
            self.out.write(f"keypoints_{split}.json", json.dumps(tree).encode())
        return []


def _points() -> tuple[list[str], list[list[int]]]:
    """The names of the 68 points, and the lines between them by numbers from 1."""
    names: list[str] = []
    lines: list[list[int]] = []
    for part, count, is_closed in _PARTS:
        first = len(names) + 1
        lines += [[first + i, first + i + 1] for i in range(count - 1)]
        lines += [[first + count - 1, first]] if is_closed else []
        names += [f"{part}_{i}" for i in range(count)]
    return names, lines


KIND = LayoutKind(
    "68 landmarks in the form of COCO's keypoints, beside the faces", "all", Coco, _USAGE, keeps_splits=True
)
