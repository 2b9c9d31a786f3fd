"""An FFHQ folder: aligned faces, flat, and `ffhq-dataset-v2.json` with landmarks, authors and licences."""

import csv
import io
import json
from dataclasses import dataclass, field
from typing import Any

from facerefs.pipeline.export.export_folder import ExportFolder
from facerefs.pipeline.export.layout import Held, LayoutKind, SetFacts
from facerefs.pipeline.export.read_set import SetSample
from facerefs.pipeline.text import plain_cell, web_link

_USAGE = """\
`images512x512/` (or the side of the faces) is what programs call an FFHQ folder. `ffhq-dataset-v2.json` has the form of
FFHQ's own: landmarks, photo URL, author and licence of each face, by numbers in the order of the names. `labels.csv`
says who is who; to build a set from this folder again:

```sh
facerefs build DIR/images512x512 --identities DIR/labels.csv --out SET
```
"""


@dataclass(frozen=True)
class FFHQ:
    """Writes the images as they are stored."""

    out: ExportFolder
    facts: SetFacts
    faces: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the names of their files
    people: dict[str, str] = field(default_factory=dict)

    def add(self, sample: SetSample) -> Held:
        """Write a ground truth."""
        folder = f"images{sample.side_px}x{sample.side_px}"
        name = self.out.image(f"{folder}/{sample.name}", sample.ground_truth, sample, "gt", png=False)
        self.people[name] = sample.identity
        self.faces[name] = _entry(name, sample)
        return Held(landmarks=1)

    def finish(self) -> list[str]:
        """Write the two lists."""
        entries = {str(number): self.faces[name] for number, name in enumerate(sorted(self.faces))}
        self.out.write("ffhq-dataset-v2.json", json.dumps(entries, indent=1).encode())
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(("file", "identity"))
        rows.writerows(
            (name.rpartition("/")[2], plain_cell(self.people[name])) for name in sorted(self.people)
        )
        self.out.write("labels.csv", table.getvalue().encode())
        return []


def _entry(name: str, sample: SetSample) -> dict[str, Any]:
    target = sample.record["target"]
    return {
        "category": {"train": "training", "val": "validation"}.get(sample.split, sample.split),
        "metadata": {
            "photo_url": web_link(target.get("page")) or web_link(target.get("url")) or "",
            "author": target.get("attribution", ""),
            "license": target.get("licence", ""),
        },
        "image": {
            "file_path": name,
            "pixel_size": [sample.side_px, sample.side_px],
            "face_landmarks": target["landmarks"],
        },
    }


KIND = LayoutKind(
    "a flat folder of aligned faces with FFHQ's JSON: for programs that train on FFHQ: ground truths only",
    "train",
    FFHQ,
    _USAGE,
)
