"""ReF-LDM's `ImageRestorationDataset`: images, degraded faces, and a CSV of what belongs together."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from facerefs.pipeline.export.export_folder import ExportFolder
from facerefs.pipeline.export.layout import Held, LayoutKind, SetFacts
from facerefs.pipeline.export.read_set import SetSample

_COLUMNS = ("gt_image", "ref_image", "lq_image")
_USAGE = """\
In the configuration of ReF-LDM (`ldm.data.ir.ImageRestorationDataset`):

```yaml
file_list: DIR/test_references.csv      # likewise train_references.csv and val_references.csv
gt_dir: DIR/images512x512
ref_dir: DIR/images512x512
lq_dir: DIR/lq
use_given_lq: true                      # not for training: ReF-LDM makes its degraded faces itself
use_given_ref: true
```

References are the best first. All images are PNG, since `scripts/eval.py` looks for a ground truth with the name of its
output. Of a set with several recipes there are `lq_RECIPE/` and `test_references_RECIPE.csv` for each.
"""


@dataclass(frozen=True)
class RefLDM:
    """Writes `imagesSIDExSIDE/`, `lq/` and `SPLIT_references.csv`."""

    out: ExportFolder
    facts: SetFacts
    training: dict[str, tuple[str, str]] = field(default_factory=dict)  # rows by the names of the samples
    rows: dict[tuple[str, str], list[tuple[str, str, str]]] = field(
        default_factory=dict
    )  # by split and recipe
    without: set[str] = field(default_factory=set)  # names of samples without a reference

    def add(self, sample: SetSample) -> Held:
        """Write the images of a sample, and keep its row."""
        if not sample.references:
            self.without.add(sample.name)
            return Held()
        folder = f"images{sample.side_px}x{sample.side_px}"
        truth = self.out.image(f"{folder}/{sample.name}", sample.ground_truth, sample, "gt", png=True)
        names = [self._reference(folder, sample, number) for number in range(len(sample.references))]
        row = (_base(truth), str([_base(name) for name in names]))
        if sample.split == "train":  # one row for all recipes: ReF-LDM draws the degraded face anew
            self.training.setdefault(sample.name, row)
            return Held(references=len(names))
        degraded = self.out.degraded(f"{self.facts.lq(sample)}/{sample.name}", sample)
        self.rows.setdefault((sample.split, sample.recipe), []).append((*row, _base(degraded)))
        return Held(degraded=True, references=len(names))

    def _reference(self, folder: str, sample: SetSample, number: int) -> str:
        """The name of a reference: that of its face, since it may be a ground truth or a reference of others too."""
        reference, record = sample.references[number], sample.record["references"][number]
        stem = f"{folder}/{record['face']}"
        if "synthesis" in record or "elsewhere" in record or self.out.has_other(f"{stem}.png", reference):
            stem = f"{folder}/{sample.name}-ref{number}"
        return self.out.image(stem, reference, sample, f"ref{number}", png=True)

    def finish(self) -> list[str]:
        """Write the lists."""
        if self.training:
            self.out.write("train_references.csv", _table(_COLUMNS[:2], list(self.training.values())))
        for (split, recipe), rows in self.rows.items():
            self.out.write(f"{split}_references{self.facts.suffix(recipe)}.csv", _table(_COLUMNS, rows))
        left = len(self.without)
        return [f"{left} targets without a reference are left out: ReF-LDM cannot read them"] if left else []


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    table = io.StringIO()
    lines = csv.writer(table, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(rows)
    return table.getvalue().encode()


def _base(name: str) -> str:
    return name.rpartition("/")[2]


KIND = LayoutKind(
    "images, degraded faces and a CSV of references, for ReF-LDM", "all", RefLDM, _USAGE, keeps_splits=True
)
