"""CodeFormer's `FFHQBlindDataset`: a flat folder of PNG or JPEG, whose names it cuts by four characters."""

from dataclasses import dataclass

from facerefs.pipeline.export.export_folder import ExportFolder
from facerefs.pipeline.export.layout import Held, LayoutKind, SetFacts
from facerefs.pipeline.export.read_set import SetSample

_USAGE = """\
In the options of CodeFormer (`FFHQBlindDataset` or `FFHQBlindJointDataset`), which makes its degraded faces itself:

```yaml
dataroot_gt: DIR/ffhq_512
io_backend: {type: disk}
```

CodeFormer makes `latent_gt_path` from the folder, with your VQGAN: `python scripts/generate_latent_gt.py -i
DIR/ffhq_512`. There is no component file: its published options use none, and with their `dataset_enlarge_ratio` of 100
its dataset would enlarge eyes again and again.
"""


@dataclass(frozen=True)
class CodeFormer:
    """Writes `ffhq_SIDE/`. WebP becomes PNG, since CodeFormer's scripts look for .png and .jpg only."""

    out: ExportFolder
    facts: SetFacts

    def add(self, sample: SetSample) -> Held:
        """Write a ground truth."""
        stem = f"ffhq_{sample.side_px}/{sample.name}"
        is_webp = sample.ground_truth.extension == "webp"
        self.out.image(stem, sample.ground_truth, sample, "gt", png=is_webp)
        return Held()

    def finish(self) -> list[str]:
        """Nothing is left to write."""
        return []


KIND = LayoutKind(
    "a flat folder of faces for CodeFormer's FFHQBlindDataset: ground truths only",
    "train",
    CodeFormer,
    _USAGE,
)
