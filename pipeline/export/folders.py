"""Plain folders for a test set, whose files have the same names: `gt/KEY.png`, `lq/KEY.png`, `ref/KEY.png`."""

from dataclasses import dataclass

from facerefs.pipeline.export.export_folder import ExportFolder
from facerefs.pipeline.export.layout import Held, LayoutKind, SetFacts
from facerefs.pipeline.export.read_set import SetSample

_USAGE = """\
`gt/NAME.png` is a ground truth, `lq/NAME.png` its degraded face at full size, `ref/NAME.png` its best reference, and
`ref1/NAME.png`, `ref2/NAME.png` ... are the others, which not every sample has. Of a set with several recipes there is
one folder of degraded faces for each: `lq_RECIPE/`.
"""


@dataclass(frozen=True)
class Folders:
    """Writes `gt/`, `lq/` and `ref/`."""

    out: ExportFolder
    facts: SetFacts

    def add(self, sample: SetSample) -> Held:
        """Write the images of a sample."""
        self.out.image(f"gt/{sample.name}", sample.ground_truth, sample, "gt", png=True)
        self.out.degraded(f"{self.facts.lq(sample)}/{sample.name}", sample)
        for number, reference in enumerate(sample.references):
            folder = f"ref{number or ''}"
            self.out.image(f"{folder}/{sample.name}", reference, sample, f"ref{number}", png=True)
        return Held(degraded=True, references=len(sample.references))

    def finish(self) -> list[str]:
        """Nothing is left to write."""
        return []


KIND = LayoutKind(
    "gt/, lq/ and ref/ with the same file names, all PNG: for tests of any program", "test", Folders, _USAGE
)
